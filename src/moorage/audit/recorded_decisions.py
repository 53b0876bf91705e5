"""Recorded decisions, put together again: what was asked, on which policies; one of them, or a stream for a replay."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.context import clock
from moorage.audit import shared_values
from moorage.audit import text as audit_text
from moorage.cache import Cache, entry_footprint
from moorage.store.metadata.audit.audit import AuditStore, Decided, Position, Row

T = TypeVar("T")

_CALLERS: Final = 8 << 20
"""Bytes of the callers that are cached."""
_CONTEXTS: Final = 16 << 20
"""Bytes of the condition-key values that are cached."""
_POLICIES: Final = 16 << 20
"""Bytes of the policy sets that are cached, with their documents."""
_PAGE: Final = 10_000


class PartLost(LookupError):
    """A part or a policy document that a decision refers to is no longer kept."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A recorded decision, or several equal ones of an hour."""

    id: str
    request: policy.Request
    """As it was asked, at the time of the first."""
    caller: shared_values.KeptCaller
    policies: str
    """Part with the policies it was decided on, for `Records.policies`."""
    allowed: bool
    rule: str
    count: int
    first: float
    last: float
    region: str
    cut: frozenset[str] = frozenset()
    """Condition keys whose values the record does not hold whole, and `resource` if that is cut."""

    def is_replayable(self, policies: policy.Policies) -> bool:
        """Whether the policies can be evaluated on the request: none of them reads what is not held whole."""
        return not self.cut or not self.cut_for(policies)

    def cut_for(self, policies: policy.Policies) -> frozenset[str]:
        """What the policies read of the request and the record does not hold whole."""
        statements = [each for named in named_in(policies) for each in named.document.statements]
        reads = {key for each in statements for key in each.reads}
        return self.cut & (reads | {audit_text.RESOURCE})


def named_in(policies: policy.Policies) -> Iterator[policy.Named]:
    """Every policy of the sets."""
    for attached in (policies.identity, policies.resource, policies.trust, policies.boundary, policies.session):
        yield from attached or ()
    for levels in (policies.scp, policies.rcp):
        for level in levels or ():
            yield from level


class Records:
    """Reads the decisions of the audit record."""

    def __init__(self, store: AuditStore, access: Access) -> None:
        self._store = store
        self._access = access
        self._callers: Cache[str, shared_values.KeptCaller] = Cache("recorded_callers", _CALLERS, entry_footprint)
        self._contexts: Cache[str, Mapping[str, str | tuple[str, ...]]] = Cache(
            "recorded_contexts", _CONTEXTS, entry_footprint
        )
        self._policies: Cache[str, policy.Policies] = Cache(
            "recorded_policies", _POLICIES, lambda _, _found: 1000, policy.Policies.documents
        )

    async def decided(
        self,
        *,
        account: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        since: float,
        until: float | None = None,
        page: int = _PAGE,
    ) -> AsyncIterator[list[Decided]]:
        """The decisions on a resource (ARN), in an account or of a principal (ARN), oldest first, a page at a time.

        Bare rows, whose `caller`, `context` and `policies` are hashes: equal texts, equal hashes; `whole` puts them
        together. Equal allowed decisions of an hour come as one (per worker) with its count; `since` and `until` go by
        its first.
        """
        after: Position | None = None
        while True:
            rows = await self._store.decided(
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
        """How many rows `decided` would give."""
        return await self._store.count(account=account, resource=resource, since=since, until=until)

    async def whole(self, rows: Sequence[Decided]) -> list[Recorded]:
        """Rows of `decided` (one of each group, say) put together; those that are no longer whole are left out."""
        callers = await self._parts({row.caller for row in rows}, self._callers, shared_values.read_caller)
        contexts = await self._parts({row.context for row in rows}, self._contexts, shared_values.read_context)
        return [
            _recorded(row, callers[row.caller], contexts[row.context])
            for row in rows
            if row.caller in callers and row.context in contexts
        ]

    async def one(self, row: Row) -> Recorded | None:
        """A whole row of `decisions` put together; None when a part of it is no longer kept."""
        found = await self.whole([Decided(*(row[name] for name in Decided.__struct_fields__))])
        return found[0] if found else None

    async def denied(
        self, *, resource: str | None = None, principal: str | None = None, since: float, most: int
    ) -> list[Decided]:
        """The newest denials on a resource or of a principal, `most` at most, newest first."""
        return await self._store.denied(resource=resource, principal=principal, since=since, limit=most)

    async def policies(self, part: str) -> policy.Policies:
        """The policies that a decision was made on, compiled. PartLost."""
        found = self._policies.get(part)
        if found is None:
            texts = await self._store.parts([part])
            if part not in texts:
                raise PartLost(part)
            kept = shared_values.read_policies(texts[part])
            found = policy.Policies(
                identity=await self._named(kept.identity),
                resource=await self._named(kept.resource),
                trust=await self._named(kept.trust),
                boundary=await self._named(kept.boundary),
                session=await self._named(kept.session),
                scp=await self._levels(kept.scp),
                rcp=await self._levels(kept.rcp),
            )
            self._policies.keep(part, found)
        return found

    async def _levels(
        self, levels: Sequence[Sequence[shared_values.KeptPolicy]] | None
    ) -> tuple[tuple[policy.Named, ...], ...] | None:
        if levels is None:
            return None
        return tuple([await self._named(level) or () for level in levels])

    async def _named(self, kept: Sequence[shared_values.KeptPolicy] | None) -> tuple[policy.Named, ...] | None:
        if kept is None:
            return None
        named = []
        for each in kept:
            try:
                document = await self._access.compiled(each.hash, policy.Kind(each.kind))
            except LookupError as error:
                raise PartLost(each.hash) from error
            named.append(policy.Named(each.name, each.hash, document))
        return tuple(named)

    async def _parts(self, names: set[str], cache: Cache[str, T], read: Callable[[str], T]) -> dict[str, T]:
        """The parts of those names, as far as they are kept."""
        found = {name: cache[name] for name in names if name in cache}
        for name, text in (await self._store.parts(names - found.keys())).items():
            found[name] = read(text)
            cache.keep(name, found[name])
        return found


def _recorded(row: Decided, caller: shared_values.KeptCaller, values: Mapping[str, str | tuple[str, ...]]) -> Recorded:
    context = {**values, **clock(int(row.at))}
    cut = frozenset(context.pop(audit_text.CUT, ()))
    request = policy.Request(caller.principal, row.action, row.resource, row.account, context)
    return Recorded(
        row.id, request, caller, row.policies, row.allowed, row.rule, row.count, row.at, row.last, row.region, cut
    )
