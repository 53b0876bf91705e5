"""Faults injected in dev mode: the next requests that match are delayed or refused, to test a client's retries.

The router applies a fault before it calls an application, and the application reports it in its own error format.
"""

import asyncio
from typing import Annotated, Final, Literal

import msgspec

from moorage.api.asgi import Scope
from moorage.errors import InvalidParameter, LimitExceeded, MoorageError, ServerFault, ServiceUnavailable, Throttling
from moorage.registry.images.tag_mutability import matches

MOST_RULES: Final = 100
KEY: Final = "moorage.fault"
"""The key in the scope of a request for the error it must be refused with."""

_ERRORS: dict[str, type[MoorageError]] = {
    "server": ServerFault,
    "unavailable": ServiceUnavailable,
    "throttling": Throttling,
}


class Rule(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A fault that applies to the next `times` requests that match all given fields."""

    error: Literal["server", "unavailable", "throttling"] | None = None
    """Refuse with 500, with 503, or with a throttling error; None: only delay."""
    delay: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    """Seconds to wait before anything is done."""
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    action: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    """An operation of the ECR API, as X-Amz-Target names it."""
    method: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    path: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    """The path of the URL; `*` matches any characters."""

    def fits(self, scope: Scope) -> bool:
        """Return whether the fault applies to a request."""
        if self.method is not None and scope["method"] != self.method:
            return False
        if self.path is not None and not matches(self.path, scope["path"]):
            return False
        return self.action is None or self.action == _action(scope)


class Faults:
    """The faults of one process that are still to be applied, in the order in which they were requested."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """Add a fault. Raise InvalidParameter if it does nothing, LimitExceeded if there are too many."""
        if rule.error is None and not rule.delay:
            raise InvalidParameter("A fault needs an error or a delay")
        if len(self.rules) >= MOST_RULES:
            raise LimitExceeded(f"There are {MOST_RULES} faults already")
        self.rules.append(rule)

    def clear(self) -> None:
        self.rules.clear()

    async def meet(self, scope: Scope) -> None:
        """Apply the first fault that matches the request: wait, then mark it to be refused (see `refuse`)."""
        rule = next((each for each in self.rules if each.fits(scope)), None)
        if rule is None:
            return
        rule.times -= 1
        if not rule.times:
            self.rules.remove(rule)
        await asyncio.sleep(rule.delay)
        if rule.error is not None:
            scope[KEY] = _ERRORS[rule.error]()


def refuse(scope: Scope) -> None:
    """Raise the error that the request is marked with, if any."""
    error: MoorageError | None = scope.get(KEY)
    if error is not None:
        raise error


def _action(scope: Scope) -> str | None:
    target: bytes = dict(scope["headers"]).get(b"x-amz-target", b"")
    return target.decode("latin-1").partition(".")[2] or None
