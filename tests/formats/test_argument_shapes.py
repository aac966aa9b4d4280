from __future__ import annotations

from typing import Any

import pytest

from app.formats.argument_shapes import Shape, listed_alone, referred, shapes_of

A, B = {"type": "integer"}, {"type": "string"}


def shape(required: str = "", others: Any = None, **properties: Any) -> Shape:
    return Shape(properties, frozenset(required.split()), others)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"a": A, "b": B}, "required": ["b"]}, (shape("b", a=A, b=B),)),
        ({"properties": {}}, (shape(),)),
        ({"additionalProperties": False}, (shape(),)),
        ({}, (shape(others={}),)),
        ({"additionalProperties": A}, (shape(others=A),)),
        ({"properties": {"b": B}, "additionalProperties": A}, (shape(others=A, b=B),)),
        ({"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"a": A}, "required": ["a"]}}}, (shape("a", a=A),)),
        (
            {"properties": {"a": A}, "allOf": [{"properties": {"b": B}, "required": ["b"]}, {"required": ["a"]}]},
            (shape("a b", a=A, b=B),),
        ),
        ({"properties": {"a": A}, "allOf": [{"properties": {"a": B}}]}, (shape(a={"allOf": [B, A]}),)),
        (
            {"anyOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}}], "required": ["c"]},
            (shape("a c", a=A), shape("c", b=B)),
        ),
    ],
)
def test_the_arguments_are_found_wherever_the_schema_describes_them(schema: Any, expected: tuple[Shape, ...]) -> None:
    assert shapes_of(schema) == expected


def test_an_argument_that_must_come_is_one_even_if_nothing_more_is_said_of_it() -> None:
    (found,) = shapes_of({"properties": {"a": A}, "required": ["b"]})
    assert list(found) == [("a", A, False), ("b", {}, True)]


def test_a_schema_that_multiplies_is_given_up_in_time() -> None:
    """Each of thirty definitions refers twice to the next."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    assert shapes_of({"$ref": "#/$defs/d0", "$defs": definitions, "properties": {"a": A}}) == (shape(a=A),)
    assert shapes_of({"$ref": "#", "properties": {"a": A}}) == (shape(a=A),)
    assert shapes_of({"anyOf": [{"properties": {f"p{n}": A}} for n in range(40)], "properties": {"a": A}}) == (shape(a=A),)


def test_what_a_reference_refers_to() -> None:
    root = {"$defs": {"a/b": {"~": A}}}
    assert referred(root, "#/$defs/a~1b/~0") == A
    assert referred(root, "#") == root
    assert referred(root, "#/$defs/none") is None
    assert referred(root, "http://elsewhere") is None


@pytest.mark.parametrize("more", [{}, {"required": ["a"]}, {"$defs": {"t": A}}])
def test_a_schema_that_lists_arguments_means_those_alone(more: dict[str, Any]) -> None:
    schema = {"properties": {"a": A}, **more}
    assert listed_alone(schema) == {**schema, "additionalProperties": False}
    assert listed_alone({"properties": {}, **more}) == {"properties": {}, **more, "additionalProperties": False}


@pytest.mark.parametrize(
    "more", [{"additionalProperties": True}, {"patternProperties": {"^x": B}}, {"anyOf": [{"properties": {"b": B}}]}]
)
def test_a_schema_that_speaks_of_others_stays_as_it_is(more: dict[str, Any]) -> None:
    schema = {"properties": {"a": A}, **more}
    assert listed_alone(schema) == schema
    assert listed_alone({"type": "object"}) == {"type": "object"}
