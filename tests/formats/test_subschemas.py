from __future__ import annotations

from app.formats.subschemas import pointer, subschemas, without

SCHEMA = {
    "properties": {"not": {"not": {"const": {"not": 1}}}, "items": {"items": [{}, True]}},
    "allOf": [{"additionalProperties": {}}],
    "dependencies": {"a": ["b"], "c": {}},
    "enum": [{"not": {}}],
    "unknown": {"not": {}},
}


def test_schemas_are_found_where_keywords_hold_them_and_nowhere_else() -> None:
    assert [pointer(place) for place, _ in subschemas(SCHEMA)] == [
        "",
        "/properties/not",
        "/properties/not/not",
        "/properties/items",
        "/properties/items/items/0",
        "/allOf/0",
        "/allOf/0/additionalProperties",
        "/dependencies/c",
    ]


def test_inner_keywords_go_before_outer_ones_and_the_schema_itself_stays() -> None:
    schema = {"not": {"not": {}, "type": "string"}}
    taken: list[object] = []
    less = without(schema, [("not",), ("not", "not")], take_out=lambda node, keyword: taken.append(node.pop(keyword)))
    assert (less, taken) == ({}, [{}, {"type": "string"}])
    assert schema == {"not": {"not": {}, "type": "string"}}


def test_a_pointer_escapes_its_steps() -> None:
    assert pointer(("properties", "a/b~c", "oneOf", 2)) == "/properties/a~1b~0c/oneOf/2"
