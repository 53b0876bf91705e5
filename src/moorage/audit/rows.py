"""Builds the rows of the audit record from decisions and events, and the ids of equal ones."""

import secrets
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import structlog

from moorage import policy
from moorage.access.recording import DecisionEntry
from moorage.audit.bounds import EQUAL_SECONDS
from moorage.audit.event import NO_ORIGIN, AuditEvent, EventDetail
from moorage.audit.shared_values import SharedValues
from moorage.audit.text import truncated, truncated_context, truncated_message
from moorage.store.metadata.audit.audit import Batch
from moorage.store.metadata.audit.tables import DecisionRow, EventRow

_HOUR: Final = 3600.0
DECISIONS_NAMED: Final = 100
"""Most decisions that an event refers to by id. The number of all decisions is stored as well."""
OMITTED: Final = "omitted"
"""The verdict of an event that counts requests without events of their own."""
_DENIALS: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_LEVELS: Final = ("scp", "rcp")
_log = structlog.get_logger()
_SETS: Final = ("identity", "resource", "trust", "boundary", "session")


class RecordIds:
    """Computes ids that are the same for equal records, differ between workers and cannot be guessed."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)

    def of(self, *values: object) -> str:
        """Return the id of a record with those values."""
        # `repr` can write texts that are not valid Unicode, and quotes them, so that different values differ.
        digits = blake2b(repr(values).encode(), digest_size=16, key=self._salt).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def of_denial(self, entry: DecisionEntry) -> str:
        """Return the same id for denials of one minute that are equal in everything but the time."""
        decision, request = entry.decision, entry.decision.request
        context = [(key, value) for key, value in request.context.items() if key not in policy.CLOCK_KEYS]
        return self.of(
            "denial",
            entry.at // EQUAL_SECONDS,
            entry.region,
            entry.caller.key_id,
            request.principal.arn,
            request.principal.id,
            request.action,
            request.resource,
            decision.rule,
            _hashes(entry.policies),
            context,
        )

    def of_failure(self, event: AuditEvent) -> str:
        """Return the same id for requests of one minute that failed in the same way before anything was decided.

        Requests that named a key without proving to hold it are equal whatever they asked for.
        """
        caller = event.caller
        return self.of(
            event.authenticated,
            event.at // EQUAL_SECONDS,
            caller.key_id,
            caller.principal.arn,
            caller.principal.id,
            event.source,
            event.name if event.authenticated else "",
            event.error_code,
            event.connection.source_ip,
        )


def _hashes(policies: policy.Policies) -> list[object]:
    """Return the values by which one set of policies differs from another."""
    found: list[object] = []
    for name in _SETS:
        attached: Sequence[policy.Named] | None = getattr(policies, name)
        found.append(None if attached is None else [each.hash for each in attached])
    for name in _LEVELS:
        levels: Sequence[Sequence[policy.Named]] | None = getattr(policies, name)
        found.append(None if levels is None else [[each.hash for each in level] for level in levels])
    return found


def _verdict(event: AuditEvent) -> str:
    if event.origin is not None and event.origin.omitted:
        return OMITTED
    if event.error_code is None:
        return "allowed"
    return "denied" if event.error_code in _DENIALS else "failed"


class RowBuilder:
    """Builds rows. Not thread-safe."""

    def __init__(self, ids: RecordIds) -> None:
        self._ids = ids
        self._values = SharedValues()
        self._contexts: dict[tuple[int, bool], str] = {}
        """Hashes by the identity of a context; valid for one batch, whose entries keep their contexts alive."""
        self.failed: Counter[str] = Counter()
        """Numbers of records of the last batch that no rows could be built for, by kind (`write` or `other`)."""

    def batch(self, entries: Iterable[DecisionEntry], events: Iterable[AuditEvent], day: int) -> Batch:
        """Return the rows of the records, with the shared values that are not in the database yet."""
        self._values.begin(day)
        self.failed.clear()
        self._contexts.clear()
        decisions: dict[str, DecisionRow] = {}
        for entry in entries:
            try:
                row = self._decision(entry)
            except Exception:  # noqa: BLE001 - one bad record must not lose the others
                self._count_failure(is_write=entry.is_of_write)
                continue
            same = decisions.get(row.id)
            if same is not None:
                row = msgspec.structs.replace(same, count=same.count + row.count, last=row.last)
            decisions[row.id] = row
        event_rows: list[EventRow] = []
        for event in events:
            try:
                event_rows += self._events(event)
            except Exception:  # noqa: BLE001 - as above
                self._count_failure(is_write=event.is_write)
        return Batch(list(decisions.values()), event_rows, self._values.new, day)

    def _count_failure(self, *, is_write: bool) -> None:
        self.failed["write" if is_write else "other"] += 1
        _log.exception("audit row not built")

    def written(self) -> None:
        """Note that the last batch is in the database."""
        self._values.written()

    def _decision(self, entry: DecisionEntry) -> DecisionRow:
        decision, request = entry.decision, entry.decision.request
        resource = truncated(request.resource)
        caller = self._values.caller(entry.caller)
        context = self._context(request.context, resource_cut=resource != request.resource)
        policies = self._values.policies(entry.policies)
        if not entry.id:
            hour = int(entry.at // _HOUR)
            entry.id = self._ids.of(
                hour, caller, context, policies, entry.region, request.action, request.resource, decision.rule
            )
        return DecisionRow(
            entry.id,
            entry.at,
            entry.last,
            entry.count,
            request.resource_account,
            entry.region,
            truncated(request.principal.arn),
            request.action,
            resource,
            decision.allowed,
            decision.rule,
            None if decision.allowed else truncated(policy.sentence(request, decision)),
            caller,
            context,
            policies,
        )

    def _context(self, context: policy.Context, *, resource_cut: bool) -> str:
        """Return the hash of a request's condition keys. Similar requests of one second share the context object."""
        key = (id(context), resource_cut)
        found = self._contexts.get(key)
        if found is None:
            found = self._contexts[key] = self._values.context(truncated_context(context, resource_cut=resource_cut))
        return found

    def _events(self, event: AuditEvent) -> list[EventRow]:
        """Return a row for the caller's account and one for the account that owns the resource."""
        own, decisions = event.caller.principal.account, event.connection.decisions
        account, resource = own, "*"
        if decisions:
            about = decisions[0].decision.request
            account, resource = about.resource_account, truncated(about.resource)
        verdict = _verdict(event)
        if verdict == OMITTED:  # it counts requests for many resources, whose decisions are not stored
            resource, decisions = "*", []
        recipients = [each for each in dict.fromkeys((own, account)) if each]
        agent, message = event.connection.user_agent, event.error_message
        detail = EventDetail(
            user_agent=None if agent is None else truncated(agent),
            read_only=event.read_only,
            error_message=None if message is None else truncated_message(message),
            request=msgspec.Raw(event.request),
            response=msgspec.Raw(event.response),
            decisions=[each.id for each in decisions[:DECISIONS_NAMED] if each.id],
            decided=len(decisions),
            shared=len(recipients) > 1,
            more=event.origin or NO_ORIGIN,
            authenticated=event.authenticated,
        )
        row = EventRow(
            event.id or str(uuid.uuid4()),
            own,
            event.at,
            event.last,
            event.count,
            event.source,
            event.name,
            event.region,
            truncated(event.caller.principal.arn),
            resource,
            event.connection.source_ip[:64],
            verdict,
            event.error_code,
            self._values.caller(event.caller),
            msgspec.json.encode(detail).decode(),
        )
        return [row if each == own else msgspec.structs.replace(row, recipient=each) for each in recipients]
