"""How far a grammar can hold an answer to a JSON Schema, and which keywords are beyond it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.formats.subschemas import Place, pointer, subschemas, without

__all__ = ["EnforcedSchema", "enforced"]

Schema: TypeAlias = dict[str, Any] | bool
Compiles: TypeAlias = Callable[[str], bool]

# What llguidance has no grammar for, with the values that ask for nothing.
_BEYOND: dict[str, tuple[object, ...]] = {
    "contains": (),
    "dependencies": ({},),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "else": (True, {}),
    "if": (),
    "maxContains": (),
    "minContains": (),
    "not": (False,),
    "propertyNames": (True, {}),
    "then": (True, {}),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
    "uniqueItems": (False,),
    "$dynamicRef": (),
    "$recursiveRef": (),
}
# Without these they mean nothing.
_NEEDS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
# What it has a grammar for in some cases.
_PERHAPS = ("oneOf", "format", "pattern", "patternProperties", "multipleOf", "minProperties", "maxProperties")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
# Each costs a compilation; further ones are taken for beyond it unseen.
_MOST_TRIED = 64


@dataclass(frozen=True, slots=True)
class EnforcedSchema:
    """`text` is a schema for a grammar; what conforms to the whole schema conforms to it too. `left_out` are the JSON pointers
    of the keywords that it lacks."""

    text: str
    left_out: tuple[str, ...] = ()


def enforced(schema: Schema, compiles: Compiles) -> EnforcedSchema:
    """`compiles` says whether a grammar can be made of a schema's text. If it can't of what comes back either, the reason is
    not a keyword that could be left out."""
    plain = _normalized(schema)
    if compiles(_text(plain)):
        return EnforcedSchema(_text(plain))
    known = list(_places(plain, tuple(_BEYOND)))
    beyond = [place for place in known if _asks(plain, place) and not _is_inside(place, known)]
    held = without(plain, known, take_out=_loosen)
    if not compiles(_text(held)):
        doubtful = _doubtful(held, compiles)
        held, beyond = without(held, doubtful, take_out=_loosen), [*beyond, *doubtful]
    return EnforcedSchema(_text(held), tuple(pointer(place) for place in beyond))


def _is_inside(place: Place, outer: Sequence[Place]) -> bool:
    steps = {place[:length] for length in range(1, len(place))}
    return any(other in steps for other in outer)


def _doubtful(schema: Schema, compiles: Compiles) -> list[Place]:
    """The keywords without which the schema compiles; none if it never does."""
    places = list(_places(schema, _PERHAPS))
    if not compiles(_text(without(schema, places, take_out=_loosen))):
        return []
    tried, out = places[:_MOST_TRIED], places[_MOST_TRIED:]
    for index, place in enumerate(tried):
        if not compiles(_text(without(schema, [*out, *tried[index + 1 :]], take_out=_loosen))):
            out.append(place)
    return out


def _places(schema: Schema, keywords: Sequence[str]) -> Iterator[Place]:
    for place, node in subschemas(schema):
        yield from ((*place, keyword) for keyword in keywords if keyword in node)


def _asks(schema: Any, place: Place) -> bool:
    """Whether a keyword means anything where it stands."""
    node = schema
    for step in place[:-1]:
        node = node[step]
    keyword = str(place[-1])
    value = node[keyword]
    if any(type(value) is type(neutral) and value == neutral for neutral in _BEYOND[keyword]):
        return False
    if keyword == "if":
        return "then" in node or "else" in node
    return keyword not in _NEEDS or _NEEDS[keyword] in node


def _loosen(node: dict[str, Any], keyword: str) -> None:
    """Take a keyword out of a subschema so that it refuses nothing that it did not refuse before."""
    value = node.pop(keyword)
    if keyword == "oneOf":
        node["allOf"] = [*node.get("allOf", []), {"anyOf": value}]
    if keyword == "patternProperties":
        # It would now be asked of the properties that the patterns named.
        node.pop("additionalProperties", None)


def _normalized(schema: Schema) -> Schema:
    """The same in llguidance's spelling, and without its options, which are not the client's to choose."""
    if isinstance(schema, bool):
        # There is no place for options in it.
        return {} if schema else {"enum": []}
    copied: dict[str, Any] = without(schema, [], take_out=_loosen)
    copied.pop("x-guidance", None)
    for _, node in subschemas(copied):
        for keyword in _COUNTS:
            if isinstance(node.get(keyword), float) and node[keyword].is_integer():
                node[keyword] = int(node[keyword])
        node.pop("$recursiveAnchor", None)
        if "$dynamicAnchor" in node:
            node.setdefault("$anchor", node.pop("$dynamicAnchor"))
    return copied


def _text(schema: Schema) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
