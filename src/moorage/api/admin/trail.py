"""The events of Moorage's own calls in the audit record: whoever signed one is in it, whatever came of it."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request

from moorage.access.audit import Event, Recorder
from moorage.api.admin.service import Signed
from moorage.api.asgi import Receive, Scope, Send
from moorage.api.aws import trail
from moorage.errors import MoorageError, ServerFault

SOURCE: Final = "moorage"
_PREFIX: Final = "/_moorage/"
_MEMBERS: Final = frozenset(
    """
    account accounts action actions after against as before by_network digest document dry_run ended error_code
    everybody expires_at given id identity keys limit name newest_first now policy principal prune pull push region
    repositories repository since source_ip tag text until user verdict version
    """.split()  # noqa: SIM905 - a paragraph reads better than forty lines
)
"""Members of the calls' bodies that are kept; `tests/attacks/test_secrets_in_the_record.py` compares them with the
types of the bodies."""
_WORD: Final = re.compile(r"[a-z0-9]+")


def is_read(request: Request) -> None:
    """Say that a call changes nothing although it is a POST."""
    request.state.only_reads = True


def is_continuation(request: Request) -> None:
    """Say that a call goes on with another that is in the record, and needs no event of its own."""
    request.state.continues = True


def failed(request: Request, error: Exception) -> None:
    """Say what came of a call."""
    request.state.error = error


class Trailed:
    """An ASGI application whose signed calls are recorded."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = dict(scope.get("state") or {})
        scope["state"] = state  # what the handlers say of the call
        try:
            await self._app(scope, receive, send)
        finally:
            signed = state.get("signed")
            if signed is not None and "continues" not in state:
                self._recorder.note(_event(scope, state, signed, authenticated="unverified" not in state))


def _event(scope: Scope, state: dict[str, Any], signed: Signed, *, authenticated: bool) -> Event:
    error: Exception | None = state.get("error")
    refusal = error if error is None or isinstance(error, MoorageError) else ServerFault()
    return Event(
        id=getattr(refusal, "decision_id", ""),
        source=SOURCE,
        name=_name(scope),
        region=signed.region,
        caller=signed.caller,
        connection=signed.connection,
        read_only=scope["method"] in {"GET", "HEAD"} or "only_reads" in state,
        request=_parameters(scope, signed.body),
        error_code=None if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message,
        authenticated=authenticated,
    )


def _name(scope: Scope) -> str:
    """`/_moorage/policy/try` is PolicyTry; what a path holds of names and ids is not part of it."""
    given = {str(value) for value in scope.get("path_params", {}).values()}
    steps = [step for step in scope["path"].removeprefix(_PREFIX).split("/") if step not in given]
    return "".join(word.capitalize() for step in steps for word in _WORD.findall(step.lower()))[:128]


def _parameters(scope: Scope, body: bytes) -> bytes:
    """What the path and the body say, as far as one of the calls declares it."""
    asked: dict[str, Any] = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    if body:
        try:
            members = msgspec.json.decode(body)
        except msgspec.DecodeError:
            members = None
        if isinstance(members, dict):
            asked.update({name: value for name, value in members.items() if name in _MEMBERS})
    return trail.request_parameters(asked)
