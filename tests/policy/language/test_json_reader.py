"""The one reader of policies: as strict as the standard library and stricter, and it knows where everything stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.policy.language.canonical import Number
from moorage.policy.language.json_reader import MAX_DEPTH, MAX_POINTER, MAX_TEXT, Place, Places, read
from moorage.policy.matching.errors import ErrorCollector, PolicyError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(max_size=6), json_values, max_size=4)
texts = st.text(alphabet='{}[],:"\\ \n\t01.e-+truefalsn\u00e9\ud83d\udca1u', max_size=60)


def parse(text: str) -> tuple[Any, Places]:
    places: Places = {}
    return read(text, places, ErrorCollector(keep=False)), places


def at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def _no_constant(_name: str) -> Any:
    raise ValueError


def by_the_standard_library(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    found = json.loads(
        text, object_pairs_hook=unique, parse_int=Number, parse_float=Number, parse_constant=_no_constant
    )
    if not isinstance(found, dict):
        raise ValueError
    return found


@given(texts | json_objects.map(json.dumps) | json_objects.map(lambda one: json.dumps(one, indent=1)[:-1] + "}"))
def test_it_takes_what_the_standard_library_takes_and_reads_the_same(text: str) -> None:
    try:
        expected = by_the_standard_library(text)
    except ValueError:
        with pytest.raises(PolicyError):
            parse(text)
        return
    assert parse(text)[0] == expected


@given(json_objects, st.sampled_from([None, 2]), st.booleans())
def test_every_place_is_where_its_value_stands(document: dict[str, Any], indent: int | None, plain: bool) -> None:
    text = f" {json.dumps(document, indent=indent, ensure_ascii=plain)}\n"
    _, places = parse(text)
    for pointer, place in places.items():
        value = at(document, pointer)
        assert json.loads(text[place.start : place.end]) == value
        if place.key != place.start:
            key = json.loads(text[place.key : place.start].rstrip().removesuffix(":"))
            assert pointer.endswith("/" + key.replace("~", "~0").replace("/", "~1"))


def test_a_key_that_is_there_twice_ends_it_or_is_kept_with_its_place() -> None:
    text = '{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}'
    with pytest.raises(PolicyError) as error:
        parse(text)
    assert (error.value.code, error.value.pointer, error.value.at) == (
        "DUPLICATE_ELEMENT",
        "/b/c",
        text.index('"c": 3'),
    )
    errors, places = ErrorCollector(keep=True), Places()
    assert read(text, places, errors) == {"a": "4", "b": {"c": "3"}}
    assert [(one.pointer, one.at) for one in errors.found] == [
        ("/b/c", text.index('"c": 3')),
        ("/a", text.rindex('"a"')),
    ]
    assert places["/a"] == Place(text.index("4}"), text.index("4}") + 1, text.rindex('"a"'))


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("", 0, "the text ends here"),
        ("\ufeff{}", 0, "byte order mark"),
        ("{'a': 1}", 1, "JSON has double quotes only"),
        ('{"a": 1,}', 7, "the comma before } has nothing after it"),
        ('{"a": [1, ]}', 8, "the comma before ] has nothing after it"),
        ('{"a" 1}', 5, "expected a colon, but here is 1"),
        ('{"a": 1 "b": 2}', 8, "expected a comma or }"),
        ('{"a": [1}', 8, "expected a comma or ]"),
        ('{"a": 01}', 7, "expected a comma or }"),
        ('{"a": NaN}', 6, "expected a value, but here is N"),
        ('{"a": "b', 6, "unterminated string"),
        ('{"a": "\\q"}', 7, "invalid \\escape"),
        ('{"a": "\n"}', 7, "invalid control character"),
        ("{} {}", 3, "expected nothing more"),
    ],
)
def test_a_syntax_error_says_where_and_what(text: str, at: int, words: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse(text)
    assert (error.value.code, error.value.at) == ("JSON_SYNTAX_ERROR", at)
    assert words in error.value.reason


@pytest.mark.parametrize(
    ("text", "pointer", "reason"),
    [
        ("", "", "not JSON: expected a value, but the text ends here"),
        ('{"a": [\'', "/a/0", "not JSON: expected a value, but here is a single quote; JSON has double quotes only"),
        ('{"a": \ufeff', "/a", "not JSON: expected a value, but here is a byte order mark"),
        ('{"a": {"b": x', "/a/b", "not JSON: expected a value, but here is x"),
        ("{} {}", "", "not JSON: expected nothing more, but here is {"),
        ('{"a": {b', "/a", "not JSON: expected a key in double quotes, but here is b"),
        ('{"a": {"b" 1', "/a", "not JSON: expected a colon, but here is 1"),
        ('{"a": {"b": 1 2', "/a", "not JSON: expected a comma or }, but here is 2"),
        ('{"a": [1 2', "/a", "not JSON: expected a comma or ], but here is 2"),
        ('{"a": {"b": 1,}}', "/a", "not JSON: the comma before } has nothing after it"),
        ('{"a": [1, ]}', "/a", "not JSON: the comma before ] has nothing after it"),
        ('{"a": "b', "", "not JSON: unterminated string starting"),
        ('{"a": "\n"}', "", "not JSON: invalid control character"),
        ('{"a~b": x', "/a~0b", "not JSON: expected a value, but here is x"),
        ('{"a/b": x', "/a~1b", "not JSON: expected a value, but here is x"),
        ('{"~/~": x', "/~0~1~0", "not JSON: expected a value, but here is x"),
    ],
)
def test_a_syntax_error_has_its_pointer_and_words(text: str, pointer: str, reason: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse(text)
    assert (error.value.pointer, error.value.reason) == (pointer, reason)


def test_a_key_with_an_escape_is_read_like_another() -> None:
    assert parse('{"\\u0061":1,"\\u0062" : "2"}') == (
        {"a": "1", "b": "2"},
        {"": Place(0, 27, 0), "/a": Place(10, 11, 1), "/b": Place(23, 26, 12)},
    )


def test_depth_length_and_paths_are_bounded() -> None:
    def nested(depth: int) -> str:
        return '{"a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    parse(nested(MAX_DEPTH))
    parse("{}" + " " * (MAX_TEXT - 2))
    parse(json.dumps({"k" * (MAX_POINTER - 1): []}))
    deep, large, path = (
        "nested deeper than 16",
        "the text is longer than 131072 characters",
        "no path is longer than 512",
    )
    for text, code, reason, pointer, place in (
        (
            nested(MAX_DEPTH + 1),
            "NESTED_TOO_DEEPLY",
            deep,
            "/a" + "/0" * (MAX_DEPTH - 1),
            len('{"a": ') + MAX_DEPTH - 1,
        ),
        ("[" * 100_000, "NESTED_TOO_DEEPLY", deep, "/0" * MAX_DEPTH, MAX_DEPTH),
        (" " * (MAX_TEXT + 1), "POLICY_TOO_LARGE", large, "", MAX_TEXT),
        (json.dumps({"k" * MAX_POINTER: []}), "VALUE_TOO_LONG", f"{path} characters", "", 1),
        (json.dumps({"a": {"k" * 510: []}}), "VALUE_TOO_LONG", f"{path} characters", "/a", len('{"a": {')),
    ):
        with pytest.raises(PolicyError) as error:
            parse(text)
        found = error.value
        assert (found.code, found.reason, found.pointer, found.at) == (code, reason, pointer, place)
