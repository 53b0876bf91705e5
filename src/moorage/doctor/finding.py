"""The result of a check."""

from typing import Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["ok", "warn", "fail", "skip"]


class Finding(NamedTuple):
    """One finding, in a sentence. `fix`: the commands to run, empty if nothing is wrong.

    `fail` prevents a push or pull; `warn` prevents something else, or soon will; `skip` could not be checked, because
    of an earlier finding.
    """

    state: State
    text: str
    fix: tuple[str, ...] = ()


def _found(state: State, text: str, *fix: str) -> Finding:
    """The text may contain what servers send: control characters must not reach a terminal."""
    return Finding(state, "".join(each if each.isprintable() else "?" for each in text), fix)


def ok(text: str) -> Finding:
    return _found("ok", text)


def warn(text: str, *fix: str) -> Finding:
    return _found("warn", text, *fix)


def fail(text: str, *fix: str) -> Finding:
    return _found("fail", text, *fix)


def skip(text: str) -> Finding:
    return _found("skip", text)
