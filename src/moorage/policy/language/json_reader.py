"""Reads the JSON of a policy strictly and in one pass, with the place of every value.

Strictly: RFC 8259 only, no key twice in an object, bounded depth, numbers kept as written.

`read_quickly` is the standard library's decoder with the same rules, except for the bounds of depth and paths. It is
fifteen times as fast, and records no places. Only a valid policy is taken from it (`parsed`); for any other text `read`
decides, so that lint points at what the parser saw.
"""

import re
from collections.abc import Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Final, NamedTuple

from moorage.policy.language.canonical import Json, Number
from moorage.policy.matching.errors import ErrorCollector, PolicyError

MAX_TEXT: Final = 131_072
"""Characters; a limit for every kind. The limit of each kind (10240 for ECR) belongs to the shape of its request."""
MAX_DEPTH: Final = 16
"""Nested objects and arrays. The grammar itself needs six."""

MAX_POINTER: Final = 512
"""Characters of a JSON pointer. Every value under a long key repeats it, so the sender must not choose its length."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(r'"([^"\\\x00-\x1f]*)"')
_KEY: Final = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_NEXT: Final = re.compile(r"[ \t\n\r]*([,\]}])[ \t\n\r]*")
_SCALAR: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_with_escapes: Final = JSONDecoder().raw_decode  # at a double quote, it parses just the string


class _Irregular(ValueError):
    """Raised so that `read` parses the text."""


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Irregular
    return members


def _refuse(_constant: str) -> Json:
    raise _Irregular


_decode: Final = JSONDecoder(
    object_pairs_hook=_unique, parse_int=Number, parse_float=Number, parse_constant=_refuse
).decode


def read_quickly(text: str) -> Mapping[str, Json] | None:
    """Return the object in `text`, as `read` does; None if `read` has to parse it."""
    if len(text) > MAX_TEXT:
        return None
    try:
        document = _decode(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


class Place(NamedTuple):
    """The place of a value in the text: characters from its start; `end` is after the last."""

    start: int
    end: int
    key: int
    """Where the key begins, for a member of an object; else `start`."""


Places = dict[str, Place]
"""By JSON pointer."""


def read(text: str, places: Places, errors: ErrorCollector) -> Mapping[str, Json]:
    """Return the object in `text`, and add the place of everything to `places`.

    Raises PolicyError. A repeated key is reported to `errors`; its last value counts.
    """
    if len(text) > MAX_TEXT:
        raise PolicyError("POLICY_TOO_LARGE", f"the text is longer than {MAX_TEXT} characters", at=MAX_TEXT)
    reader = _Reader(text, places, errors)
    start = reader.space(0)
    document, end = reader.value(start, "", 0, start)
    end = reader.space(end)
    if end != len(text):
        raise reader.wrong(end, "nothing more", "")
    if not isinstance(document, dict):
        raise PolicyError("DATA_TYPE_MISMATCH", "a policy is a JSON object")
    return document


class _Reader:
    """One pass over a text. Every method takes the index where it starts, and returns the index after what it read."""

    __slots__ = ("_errors", "_places", "_text")

    def __init__(self, text: str, places: Places, errors: ErrorCollector) -> None:
        self._text = text
        self._places = places
        self._errors = errors

    def space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return at if found is None else found.end()

    def value(self, at: int, pointer: str, depth: int, key_at: int) -> tuple[Json, int]:
        text = self._text
        start = text[at : at + 1]
        value: Json
        if start == '"':
            value, end = self._string(at)
        elif start in {"{", "["} and start:
            if depth == MAX_DEPTH:
                raise PolicyError("NESTED_TOO_DEEPLY", f"nested deeper than {MAX_DEPTH}", pointer, at=at)
            read_inside = self._object if start == "{" else self._array
            value, end = read_inside(self.space(at + 1), pointer, depth + 1)
        else:
            scalar = _SCALAR.match(text, at)
            if scalar is None:
                raise self.wrong(at, "a value", pointer)
            word = scalar[0]
            value, end = _WORDS[word] if word in _WORDS else Number(word), scalar.end()
        self._places[pointer] = Place(at, end, key_at)
        return value, end

    def _object(self, at: int, pointer: str, depth: int) -> tuple[dict[str, Json], int]:
        members: dict[str, Json] = {}
        if self._text[at : at + 1] == "}":
            return members, at + 1
        more = True
        while more:
            key, value_at = self._key(at, pointer)
            here = member(pointer, key)
            if len(here) > MAX_POINTER:
                raise PolicyError("VALUE_TOO_LONG", f"no path is longer than {MAX_POINTER} characters", pointer, at=at)
            if key in members:
                with self._errors:
                    raise PolicyError("DUPLICATE_ELEMENT", f"the element {key} is there twice", here, at=at)
            members[key], end = self.value(value_at, here, depth, at)
            more, at = self._next(end, pointer, "}")
        return members, at

    def _array(self, at: int, pointer: str, depth: int) -> tuple[list[Json], int]:
        items: list[Json] = []
        if self._text[at : at + 1] == "]":
            return items, at + 1
        more = True
        while more:
            item, end = self.value(at, f"{pointer}/{len(items)}", depth, at)
            items.append(item)
            more, at = self._next(end, pointer, "]")
        return items, at

    def _next(self, at: int, pointer: str, close: str) -> tuple[bool, int]:
        """Skip a comma or `close`. Return the index of what follows, and whether it was a comma."""
        found = _NEXT.match(self._text, at)
        if found is None or (found[1] != close and found[1] != ","):
            raise self.wrong(self.space(at), f"a comma or {close}", pointer)
        if found[1] == close:
            return False, found.end(1)
        if self._text[found.end() : found.end() + 1] == close:
            reason = f"not JSON: the comma before {close} has nothing after it"
            raise PolicyError("JSON_SYNTAX_ERROR", reason, pointer, at=found.start(1))
        return True, found.end()

    def _key(self, at: int, pointer: str) -> tuple[str, int]:
        """Read a key and its colon."""
        found = _KEY.match(self._text, at)
        if found is not None:
            return found[1], found.end()
        if self._text[at : at + 1] != '"':
            raise self.wrong(at, "a key in double quotes", pointer)
        key, at = self._string(at)
        at = self.space(at)
        if self._text[at : at + 1] != ":":
            raise self.wrong(at, "a colon", pointer)
        return key, self.space(at + 1)

    def _string(self, at: int) -> tuple[str, int]:
        plain = _STRING.match(self._text, at)
        if plain is not None:
            return plain[1], plain.end()
        try:
            text, end = _with_escapes(self._text, at)
        except JSONDecodeError as error:
            reason = f"not JSON: {error.msg.removesuffix(' at').lower()}"
            raise PolicyError("JSON_SYNTAX_ERROR", reason, at=error.pos) from None
        return str(text), end

    def wrong(self, at: int, expected: str, pointer: str) -> PolicyError:
        there = self._text[at : at + 1]
        found = "the text ends here" if not there else f"here is {there}"
        if there == "'":
            found = "here is a single quote; JSON has double quotes only"
        elif there == "\ufeff":
            found = "here is a byte order mark"
        return PolicyError("JSON_SYNTAX_ERROR", f"not JSON: expected {expected}, but {found}", pointer, at=at)


def as_text(value: Json, pointer: str) -> str:
    """Return `value`, which must be a JSON string of valid Unicode."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise PolicyError("DATA_TYPE_MISMATCH", "must be a string", pointer)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise PolicyError("INVALID_TEXT", "holds half a character", pointer)
    return value


def as_object(value: Json, pointer: str) -> Mapping[str, Json]:
    """Return `value`, which must be a JSON object."""
    if type(value) is dict or isinstance(value, Mapping):  # the second check alone takes longer than all the rest
        return value
    raise PolicyError("DATA_TYPE_MISMATCH", "must be an object", pointer)


def as_list(value: Json, pointer: str) -> list[tuple[Json, str]]:
    """Yield the items of an array, or the single value in its place, each with its pointer."""
    if isinstance(value, list):
        return [(item, f"{pointer}/{index}") for index, item in enumerate(value)]
    return [(value, pointer)]


def member(pointer: str, key: str) -> str:
    """Return the JSON pointer of a member."""
    if "~" in key or "/" in key:
        key = key.replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{key}"
