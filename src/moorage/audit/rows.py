"""Rows of the audit record, made from decisions and events; their ids; texts cut to what is kept."""

import secrets
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import structlog

from moorage import policy
from moorage.access.recording import Entry
from moorage.audit.bounds import EQUAL_SECONDS
from moorage.audit.records import Event, EventDetail
from moorage.audit.shared_values import Parts
from moorage.audit.text import kept, kept_context, kept_message
from moorage.store.metadata.audit.audit import Batch
from moorage.store.metadata.audit.tables import DecisionRow, EventRow

_HOUR: Final = 3600.0
DECISIONS_NAMED: Final = 100
"""Decisions that an event refers to by their ids; the number of all is kept, too."""
OMITTED: Final = "omitted"
"""The verdict of an event that stands for requests that are only counted."""
_DENIALS: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_LEVELS: Final = ("scp", "rcp")
_log = structlog.get_logger()
_SETS: Final = ("identity", "resource", "trust", "boundary", "session")


class Ids:
    """Ids of records that are equal: the same for equal ones, different in each worker, and not to be guessed."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)

    def of(self, *says: object) -> str:
        """The id of a record that says that."""
        # `repr` writes every text, also one that has no UTF-8, and so that no two of them run together.
        digits = blake2b(repr(says).encode(), digest_size=16, key=self._salt).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def of_denial(self, entry: Entry) -> str:
        """The same for denials of a minute that are equal in everything but the time."""
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

    def of_failure(self, event: Event) -> str:
        """The same for requests of a minute that were refused for the same reason before anything was decided.

        Of those that only named a key, whatever they asked for.
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
    """What tells one set of policies from another."""
    found: list[object] = []
    for name in _SETS:
        attached: Sequence[policy.Named] | None = getattr(policies, name)
        found.append(None if attached is None else [each.hash for each in attached])
    for name in _LEVELS:
        levels: Sequence[Sequence[policy.Named]] | None = getattr(policies, name)
        found.append(None if levels is None else [[each.hash for each in level] for level in levels])
    return found


def _verdict(event: Event) -> str:
    if event.more is not None and OMITTED in event.more:
        return OMITTED
    if event.error_code is None:
        return "allowed"
    return "denied" if event.error_code in _DENIALS else "failed"


class Rows:
    """Makes rows. For one thread at a time."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._parts = Parts()
        self._contexts: dict[tuple[int, bool], str] = {}
        """Of one batch, whose entries keep their contexts alive."""
        self.failed: Counter[str] = Counter()
        """Records of the last batch that could not be made into rows, by kind (`write` or `other`)."""

    def batch(self, entries: Iterable[Entry], events: Iterable[Event], day: int) -> Batch:
        """The rows of the records, and the parts they refer to that are not in the database yet."""
        self._parts.begin(day)
        self.failed.clear()
        self._contexts.clear()
        decided: dict[str, DecisionRow] = {}
        for entry in entries:
            try:
                row = self._decision(entry)
            except Exception:  # noqa: BLE001 - one record must not take the others with it
                self._could_not(is_write=entry.is_of_write)
                continue
            same = decided.get(row.id)
            if same is not None:
                row = msgspec.structs.replace(same, count=same.count + row.count, last=row.last)
            decided[row.id] = row
        told: list[EventRow] = []
        for event in events:
            try:
                told += self._events(event)
            except Exception:  # noqa: BLE001 - likewise
                self._could_not(is_write=event.is_write)
        return Batch(list(decided.values()), told, self._parts.new, day)

    def _could_not(self, *, is_write: bool) -> None:
        self.failed["write" if is_write else "other"] += 1
        _log.exception("audit record not made")

    def written(self) -> None:
        """The last batch is in the database."""
        self._parts.written()

    def _decision(self, entry: Entry) -> DecisionRow:
        decision, request = entry.decision, entry.decision.request
        resource = kept(request.resource)
        caller = self._parts.caller(entry.caller)
        context = self._context(request.context, resource_cut=resource != request.resource)
        policies = self._parts.policies(entry.policies)
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
            kept(request.principal.arn),
            request.action,
            resource,
            decision.allowed,
            decision.rule,
            None if decision.allowed else kept(policy.sentence(request, decision)),
            caller,
            context,
            policies,
        )

    def _context(self, context: policy.Context, *, resource_cut: bool) -> str:
        """The hash of a request's condition keys. Requests of a second that are alike share them."""
        key = (id(context), resource_cut)
        known = self._contexts.get(key)
        if known is None:
            known = self._contexts[key] = self._parts.context(kept_context(context, resource_cut=resource_cut))
        return known

    def _events(self, event: Event) -> list[EventRow]:
        """One row for the account that called and one for the account that owns the resource."""
        own, decisions = event.caller.principal.account, event.connection.decisions
        account, resource = own, "*"
        if decisions:
            about = decisions[0].decision.request
            account, resource = about.resource_account, kept(about.resource)
        verdict = _verdict(event)
        if verdict == OMITTED:  # it stands for requests about many resources, whose decisions are not kept
            resource, decisions = "*", []
        recipients = [each for each in dict.fromkeys((own, account)) if each]
        agent, message = event.connection.user_agent, event.error_message
        detail = EventDetail(
            user_agent=None if agent is None else kept(agent),
            read_only=event.read_only,
            error_message=None if message is None else kept_message(message),
            request=msgspec.Raw(event.request),
            response=msgspec.Raw(event.response),
            decisions=[each.id for each in decisions[:DECISIONS_NAMED] if each.id],
            decided=len(decisions),
            shared=len(recipients) > 1,
            more=event.more or {},
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
            kept(event.caller.principal.arn),
            resource,
            event.connection.source_ip[:64],
            verdict,
            event.error_code,
            self._parts.caller(event.caller),
            msgspec.json.encode(detail).decode(),
        )
        return [row if each == own else msgspec.structs.replace(row, recipient=each) for each in recipients]
