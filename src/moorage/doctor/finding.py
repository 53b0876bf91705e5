"""What a check finds."""

from typing import Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["ok", "warn", "fail", "skip"]


class Finding(NamedTuple):
    """One thing found, in a sentence; `fix` are the lines to type, empty where nothing is wrong.

    `fail` stands in the way of a push or pull; `warn` of something else, or will soon; `skip` could not be looked at,
    because of what was found before.
    """

    state: State
    text: str
    fix: tuple[str, ...] = ()


def _found(state: State, text: str, *fix: str) -> Finding:
    """What servers say is part of it: nothing of that may drive a terminal."""
    return Finding(state, "".join(each if each.isprintable() else "?" for each in text), fix)


def ok(text: str) -> Finding:
    return _found("ok", text)


def warn(text: str, *fix: str) -> Finding:
    return _found("warn", text, *fix)


def fail(text: str, *fix: str) -> Finding:
    return _found("fail", text, *fix)


def skip(text: str) -> Finding:
    return _found("skip", text)
