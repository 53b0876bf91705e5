"""Recorded decisions with the request, condition-key values and policies that they were made on."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.context import clock
from moorage.audit import shared_values
from moorage.audit import text as audit_text
from moorage.cache import Cache, entry_footprint
from moorage.store.metadata.audit.audit import AuditStore, DecisionSummary, Position
from moorage.store.metadata.audit.tables import DecisionRow

T = TypeVar("T")

_CALLERS: Final = 8 << 20
"""Bytes of the cache of callers."""
_CONTEXTS: Final = 16 << 20
"""Bytes of the cache of condition-key values."""
_POLICIES: Final = 16 << 20
"""Bytes of the cache of policy sets, with their documents."""
_PAGE_ROWS: Final = 10_000


class SharedValueMissing(LookupError):
    """A shared value or policy document that a decision refers to is no longer stored."""


class RecordedDecision(msgspec.Struct, frozen=True, gc=False):
    """A recorded decision, or several equal ones that were made within an hour."""

    id: str
    request: policy.Request
    """The request, at the time of the first of several equal decisions."""
    caller: shared_values.RecordedCaller
    policies: str
    """Hash of the policy sets it was decided on, for `RecordedDecisions.policies`."""
    allowed: bool
    rule: str
    count: int
    first: float
    last: float
    region: str
    cut: frozenset[str] = frozenset()
    """Condition keys whose recorded values are truncated, and `resource` if the ARN is."""

    def is_replayable(self, policies: policy.Policies) -> bool:
        """Return whether the policies can be evaluated on the request: none of them reads a truncated value."""
        return not self.cut or not self.cut_for(policies)

    def cut_for(self, policies: policy.Policies) -> frozenset[str]:
        """Return the truncated condition keys that the policies read."""
        statements = [each for named in named_in(policies) for each in named.document.statements]
        reads = {key for each in statements for key in each.reads}
        return self.cut & (reads | {audit_text.RESOURCE})


def named_in(policies: policy.Policies) -> Iterator[policy.Named]:
    """Yield every policy of the sets."""
    for attached in (policies.identity, policies.resource, policies.trust, policies.boundary, policies.session):
        yield from attached or ()
    for levels in (policies.scp, policies.rcp):
        for level in levels or ():
            yield from level


class RecordedDecisions:
    """Reads the decisions of the audit record."""

    def __init__(self, store: AuditStore, access: Access) -> None:
        self._store = store
        self._access = access
        self._callers: Cache[str, shared_values.RecordedCaller] = Cache("recorded_callers", _CALLERS, entry_footprint)
        self._contexts: Cache[str, Mapping[str, str | tuple[str, ...]]] = Cache(
            "recorded_contexts", _CONTEXTS, entry_footprint
        )
        self._policies: Cache[str, policy.Policies] = Cache(
            "recorded_policies", _POLICIES, lambda _, _found: 1000, policy.Policies.documents
        )

    async def pages(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
        page: int = _PAGE_ROWS,
    ) -> AsyncIterator[list[DecisionSummary]]:
        """Yield pages of decisions on a resource (ARN), in an account or of a principal (ARN), oldest first.

        Their `caller`, `context` and `policies` are hashes, equal for equal values; `load` looks the values up. Equal
        allowed decisions of an hour are one row for each worker, with a count. `since` and `until` refer to the first.
        """
        after: Position | None = None
        while True:
            rows = await self._store.decisions(
                account=account,
                resource=resource,
                principal=principal,
                since=since,
                until=until,
                after=after,
                limit=page,
            )
            if rows:
                yield rows
            if len(rows) < page:
                return
            after = (rows[-1].at, rows[-1].id)

    async def count(
        self, *, account: str | None = None, resource: str | None = None, since: float, until: float | None = None
    ) -> int:
        """Return the number of rows that `pages` would yield."""
        return await self._store.count(account=account, resource=resource, since=since, until=until)

    async def load(self, rows: Sequence[DecisionSummary]) -> list[RecordedDecision]:
        """Return the decisions of the rows. Those whose shared values are no longer stored are left out."""
        callers = await self._shared_values({row.caller for row in rows}, self._callers, shared_values.read_caller)
        contexts = await self._shared_values({row.context for row in rows}, self._contexts, shared_values.read_context)
        return [
            _recorded(row, callers[row.caller], contexts[row.context])
            for row in rows
            if row.caller in callers and row.context in contexts
        ]

    async def load_one(self, row: DecisionRow) -> RecordedDecision | None:
        """Return the decision of a row; None if its shared values are no longer stored."""
        summary = DecisionSummary(*[getattr(row, name) for name in DecisionSummary.__struct_fields__])
        found = await self.load([summary])
        return found[0] if found else None

    async def denials(
        self, *, resource: str | None = None, principal: str | None = None, since: float, most: int
    ) -> list[DecisionSummary]:
        """Return up to `most` denials on a resource (ARN) or of a principal (ARN), newest first."""
        return await self._store.denials(resource=resource, principal=principal, since=since, limit=most)

    async def policies(self, name: str) -> policy.Policies:
        """Return the compiled policies of a decision, by their hash. Raise SharedValueMissing."""
        found = self._policies.get(name)
        if found is None:
            texts = await self._store.shared_values([name])
            if name not in texts:
                raise SharedValueMissing(name)
            kept = shared_values.read_policies(texts[name])
            found = policy.Policies(
                identity=await self._named(kept.identity),
                resource=await self._named(kept.resource),
                trust=await self._named(kept.trust),
                boundary=await self._named(kept.boundary),
                session=await self._named(kept.session),
                scp=await self._levels(kept.scp),
                rcp=await self._levels(kept.rcp),
            )
            self._policies.keep(name, found)
        return found

    async def _levels(
        self, levels: Sequence[Sequence[shared_values.RecordedPolicy]] | None
    ) -> tuple[tuple[policy.Named, ...], ...] | None:
        if levels is None:
            return None
        return tuple([await self._named(level) or () for level in levels])

    async def _named(self, kept: Sequence[shared_values.RecordedPolicy] | None) -> tuple[policy.Named, ...] | None:
        if kept is None:
            return None
        named = []
        for each in kept:
            try:
                document = await self._access.compiled(each.hash, policy.Kind(each.kind))
            except LookupError as error:
                raise SharedValueMissing(each.hash) from error
            named.append(policy.Named(each.name, each.hash, document))
        return tuple(named)

    async def _shared_values(self, names: set[str], cache: Cache[str, T], read: Callable[[str], T]) -> dict[str, T]:
        """Return the shared values with those hashes. Values that are no longer stored are left out."""
        found = {name: cache[name] for name in names if name in cache}
        for name, text in (await self._store.shared_values(names - found.keys())).items():
            found[name] = read(text)
            cache.keep(name, found[name])
        return found


def _recorded(
    row: DecisionSummary, caller: shared_values.RecordedCaller, values: Mapping[str, str | tuple[str, ...]]
) -> RecordedDecision:
    context = {**values, **clock(int(row.at))}
    cut = frozenset(context.pop(audit_text.CUT, ()))
    request = policy.Request(caller.principal, row.action, row.resource, row.account, context)
    return RecordedDecision(
        row.id, request, caller, row.policies, row.allowed, row.rule, row.count, row.at, row.last, row.region, cut
    )
