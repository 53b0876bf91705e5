"""The events of Moorage's own calls in the audit record: one for every signed call, whatever its outcome."""

from typing import Any, Final

import msgspec

from moorage.api.admin.operation import Call, Operation
from moorage.api.aws import recorded_call
from moorage.audit.event import AuditEvent
from moorage.errors import MoorageError, ServerFault

SOURCE: Final = "moorage"
_MEMBERS: Final = frozenset(
    """
    account accounts action actions after against as before by_network digest document dry_run ended error_code
    everybody expires_at given id identity keys kind limit name newest_first now policy principal prune pull push region
    repositories repository since source_ip states tag text until user verdict version
    """.split()  # noqa: SIM905 - a paragraph reads better than forty lines
)
"""Members of bodies that are recorded; `tests/attacks/test_secrets_in_the_record.py` compares them with the types of
the bodies."""


def event(call: Call, operation: Operation) -> AuditEvent:
    """Return the event of a call that was signed, or that named a key that exists here."""
    error = call.failure
    refusal = error if error is None or isinstance(error, MoorageError) else ServerFault()
    return AuditEvent(
        id=getattr(refusal, "decision_id", ""),
        source=SOURCE,
        name=operation.event,
        region=call.region,
        caller=call.caller,
        connection=call.connection,
        read_only=operation.only_reads(call),
        request=_parameters(call),
        error_code=None if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message,
        authenticated=call.authenticated,
    )


def _parameters(call: Call) -> bytes:
    """Return what path and body contain, as far as an operation declares it.

    An operation may ignore its body, so the body may be anything: one that cannot be decoded or kept is omitted.
    """
    asked: dict[str, Any] = {name: str(value) for name, value in call.http.path_params.items()}
    try:
        members = msgspec.json.decode(call.body or b"{}")
        kept = {name: value for name, value in members.items() if name in _MEMBERS} if isinstance(members, dict) else {}
        return recorded_call.own_parameters(asked | kept)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
        return recorded_call.own_parameters(asked)
