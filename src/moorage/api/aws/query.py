"""Forms of the Query protocol of IAM and STS, decoded into typed requests (docs/development/policy-engine.md §8.1)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from moorage.api.aws.constraints import all_of, bare, described, violations
from moorage.errors import QueryError

T = TypeVar("T")

_FIELDS: Final = 1000
"""Most fields of a form."""
_LONGEST_NAME: Final = 256
"""Most characters of the name of a field that belongs to a list or a structure."""
_DEEPEST: Final = 8
"""Most dots that are read in such a name."""
_DIGITS: Final = 18
"""Most characters of a number."""


def parse_form(body: bytes, query_string: bytes = b"") -> dict[str, str]:
    """Return the fields of the body and the query string. Raises QueryError `MalformedQueryString`."""
    try:
        pairs = parse_qsl(
            (query_string + b"&" + body).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS,
        )
    except ValueError as error:
        raise QueryError("MalformedQueryString", "The request's form fields could not be read.") from error
    return dict(pairs)


def decode(request: type[T], form: Mapping[str, str]) -> T:
    """Return the form as a `request`. Fields that it does not have are ignored.

    Raises QueryError: `MalformedInput` for an invalid number or boolean, `ValidationError` naming every violated
    constraint of the model.
    """
    members = _read(_members_of(request), _Fields(form), "")
    try:
        return msgspec.convert(members, request)
    except msgspec.ValidationError:
        violated = violations(request, members)
        if not violated:
            raise  # the message would name nothing
        raise QueryError("ValidationError", all_of(violated)) from None


def invalid(member: str, value: str | None, constraint: str) -> QueryError:
    """Return the ValidationError for a constraint that the model does not have, such as `Member must not be null`.

    `member`: its name as the model spells it. `value`: None for null.
    """
    quoted = "null" if value is None else f"'{value}'"
    name = member[:1].lower() + member[1:]
    text = f"1 validation error detected: Value {quoted} at '{name}' failed to satisfy constraint: {constraint}"
    return QueryError("ValidationError", text)


class _Fields:
    """The fields of a form, and which lists and structures have any."""

    __slots__ = ("form", "parents")

    def __init__(self, form: Mapping[str, str]) -> None:
        self.form = form
        self.parents: set[str] = set()
        """`Tags`, `Tags.member` and `Tags.member.1` of `Tags.member.1.Key`."""
        for name in form:
            if "." in name and len(name) <= _LONGEST_NAME:
                steps = name.split(".", _DEEPEST)
                self.parents.update(".".join(steps[:count]) for count in range(1, len(steps)))


_Reader: TypeAlias = Callable[[_Fields, str], Any]
"""Reads the member at a path; None if the form does not have it."""


class _Member(NamedTuple):
    name: str
    read: _Reader


_REQUESTS: dict[type, list[_Member]] = {}
"""The members by request type: describing a type costs far more than reading a form."""


def _members_of(request: type) -> list[_Member]:
    members = _REQUESTS.get(request)
    if members is None:
        kind, _ = bare(described(request))
        if not isinstance(kind, inspect.StructType):
            raise TypeError(f"{request} is not a structure")
        members = _REQUESTS[request] = _members(kind)
    return members


def _members(kind: inspect.StructType) -> list[_Member]:
    return [_Member(field.encode_name, _reader_of(field.type)) for field in kind.fields]


def _read(members: list[_Member], fields: _Fields, prefix: str) -> dict[str, Any]:
    """Return the members of a structure that the form has. `prefix` comes before their names."""
    found = {}
    for name, read in members:
        value = read(fields, f"{prefix}{name}")
        if value is not None:
            found[name] = value
    return found


def _reader_of(kind: inspect.Type) -> _Reader:
    kind, _ = bare(kind)
    match kind:
        case inspect.StrType():
            return _string
        case inspect.IntType():
            return _integer
        case inspect.BoolType():
            return _boolean
        case inspect.ListType():
            return _list_of(_reader_of(kind.item_type))
        case inspect.StructType():
            return _structure_of(_members(kind))
    raise TypeError(f"a form cannot contain {kind}")


def _string(fields: _Fields, path: str) -> str | None:
    return fields.form.get(path)


def _integer(fields: _Fields, path: str) -> int | None:
    text = fields.form.get(path)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(text) > _DIGITS:
        raise QueryError("MalformedInput", f"{text} is not a number")
    return int(text)


def _boolean(fields: _Fields, path: str) -> bool | None:
    text = fields.form.get(path)
    if text is None:
        return None
    if text.lower() not in {"true", "false"}:
        raise QueryError("MalformedInput", f"{text} is not a boolean")
    return text.lower() == "true"


def _list_of(read: _Reader) -> _Reader:
    """Return what reads `Name.member.1`, `Name.member.2`, … up to the first one missing.

    Clients send an empty list as an empty field of its name.
    """

    def read_list(fields: _Fields, path: str) -> list[Any] | None:
        if f"{path}.member" not in fields.parents:
            return None if fields.form.get(path) else [] if path in fields.form else None
        found: list[Any] = []
        while (item := read(fields, f"{path}.member.{len(found) + 1}")) is not None:
            found.append(item)
        return found

    return read_list


def _structure_of(members: list[_Member]) -> _Reader:
    def read_structure(fields: _Fields, path: str) -> dict[str, Any] | None:
        return _read(members, fields, f"{path}.") if path in fields.parents else None

    return read_structure
