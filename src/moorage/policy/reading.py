"""The JSON of a policy, read strictly: no duplicate key, bounded depth, numbers kept as written, no broken Unicode."""

import json
from collections.abc import Mapping
from typing import Final, NoReturn

from moorage.policy.canonical import Json, Number
from moorage.policy.fault import PolicyError

MAX_TEXT: Final = 131_072
"""Characters; a ceiling for every kind. The limit of each kind (10240 for ECR) belongs to its request's shape."""
MAX_DEPTH: Final = 16
"""Nested objects and arrays. The grammar itself needs six."""


def read(text: str) -> Mapping[str, Json]:
    """The object that `text` holds. Raises PolicyError."""
    if len(text) > MAX_TEXT:
        raise PolicyError(f"the text is longer than {MAX_TEXT} characters")
    _check_depth(text)
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PolicyError("a policy is a JSON object")
    return document


def _check_depth(text: str) -> None:
    depth, inside, escaped = 0, False, False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise PolicyError(f"nested deeper than {MAX_DEPTH}")
        elif character in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PolicyError(f"the element {twice} is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise PolicyError(f"{name} is not JSON")


def as_text(value: Json, pointer: str) -> str:
    """`value`, which must be a JSON string of whole characters."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise PolicyError("must be a string", pointer)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise PolicyError("holds half a character", pointer)
    return value


def as_object(value: Json, pointer: str) -> Mapping[str, Json]:
    """`value`, which must be a JSON object."""
    if not isinstance(value, Mapping):
        raise PolicyError("must be an object", pointer)
    return value


def as_list(value: Json, pointer: str) -> list[tuple[Json, str]]:
    """The items of an array, or the one value that stands in its place, each with its pointer."""
    if isinstance(value, list):
        return [(item, f"{pointer}/{index}") for index, item in enumerate(value)]
    return [(value, pointer)]


def as_texts(value: Json, pointer: str) -> list[tuple[str, str]]:
    """A string or a non-empty array of non-empty strings, each with its pointer."""
    texts = [(as_text(item, at), at) for item, at in as_list(value, pointer)]
    if not texts:
        raise PolicyError("must not be empty", pointer)
    for text, at in texts:
        if not text:
            raise PolicyError("must not be empty", at)
    return texts


def member(pointer: str, key: str) -> str:
    """The JSON pointer of a member."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
