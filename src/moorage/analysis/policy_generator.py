"""Generates the smallest policy that allows the recorded requests, and proves it by a replay."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec

from moorage import policy
from moorage.access.background_computation import in_thread
from moorage.access.repository_policy import MAX_TEXT, RepositoryPolicyCheck
from moorage.analysis.generated_policy import GeneratedPolicy
from moorage.analysis.matrix import ACTIONS
from moorage.analysis.progress import Progress
from moorage.analysis.replay import Replays, with_repository_policy
from moorage.analysis.replay_report import ReplayReport
from moorage.analysis.usage import Usage, grantee, too_many_combinations, with_sids
from moorage.audit.recorded_decisions import RecordedDecision, RecordedDecisions, SharedValueMissing
from moorage.cache import Cache, entry_footprint
from moorage.errors import InvalidParameter
from moorage.names import AccountId, RepositoryRef
from moorage.policy import lint
from moorage.policy.catalog.actions import SIGN_IN
from moorage.store.metadata.audit.audit import DecisionSummary

_PAGE_ROWS: Final = 500
_SEEN: Final = 32 << 20
"""Bytes of the cache of requests that were seen; equal ones of others are evaluated again."""
_MAX_TEXT: Final = 256 << 10
"""Most characters of a policy that is shown although it is too long to be set."""
_MAX_DROPPED: Final = 50
"""Most dropped conditions of identity policies that are listed."""
_MAX_VALUES: Final = 6
"""Most values of one condition that are listed."""
_NOT_FOUND: Final = re.compile(r"Principal not found: (.*)", re.DOTALL)
_ACTIONS: Final = frozenset(ACTIONS) - {"ecr:CreateRepository"}
"""Actions that a generated policy can contain. CreateRepository is decided before the repository has a policy."""


class Generator:
    """Generates policies from the audit record."""

    def __init__(self, records: RecordedDecisions, replays: Replays, check: RepositoryPolicyCheck) -> None:
        self._records = records
        self._replays = replays
        self._check = check

    async def for_repository(
        self, ref: RepositoryRef, *, since: float, until: float, everybody: bool, by_network: bool
    ) -> AsyncIterator[Progress | GeneratedPolicy]:
        """Yield progress, and at last the smallest repository policy that grants what no identity policy grants.

        `everybody`: also grant what identity policies grant already. `by_network`: only grant access from the networks
        that were used. Deny statements of the policy in force are kept, because more would be allowed without them.
        """
        usage, requests = Usage(), 0
        total = await self._records.count(resource=ref.arn, since=since, until=until)
        read = 0
        async for rows, new in self._new(ref.arn, None, since, until):
            read += len(rows)
            requests += sum(row.count for row in rows if _counts(row))
            await self._use(usage, new, everybody, by_network)
            yield Progress(read, max(total, read))
        in_force = await self._in_force(ref)
        denies = [each for each in in_force if each["Effect"] == "Deny"]
        dropped = [
            condition
            for at, each in enumerate(in_force)
            for condition in _condition_texts(each, f"statement {_name(each, at)}")
        ]
        gone: list[str] = []
        while True:
            statements = [*denies, *usage.statements(by_network=by_network)]
            if not statements:
                yield GeneratedPolicy(None, requests, [], gone, 0, too_long=False, replay=None)
                return
            text = _text(statements)
            too_long = len(text) > MAX_TEXT
            if too_long:
                document = policy.parse(text, policy.Kind.REPOSITORY)
                break
            try:
                document = await self._check.proposed(ref, text)
                break
            except InvalidParameter as error:
                missing = _NOT_FOUND.fullmatch(str(error))
                if missing is None or missing[1] in gone:
                    raise
                gone.append(missing[1])
                usage.forget(missing[1])
        replay = await self._replays.prepare(ref, document, since=since, until=until, baseline="recorded")
        report: ReplayReport | None = None
        async for each in replay.run():
            report = each if isinstance(each, ReplayReport) else report
        shown = await self._check.shown(text)
        findings = _findings(shown, policy.Kind.REPOSITORY, ref.account)
        yield GeneratedPolicy(shown, requests, findings, gone, len(denies), too_long, report, dropped)

    async def for_identity(
        self, ref: RepositoryRef, arn: str, *, asking: AccountId, since: float, until: float
    ) -> AsyncIterator[Progress | GeneratedPolicy]:
        """Yield progress, and at last the smallest identity policy that allows what a user or role did.

        `arn`: the user or role. If it belongs to another account than `asking`, the answer neither contains its
        sign-ins nor what other policies of its account say.
        """
        actions: dict[str, set[str]] = {}
        requests = read = 0
        account = arn.split(":", 5)[4] if arn.count(":") >= 5 else ""
        is_own = account == asking
        asked = ((ref.arn, None), *((("*", account),) if is_own else ()))
        for resource, owner in asked:
            async for rows, new in self._new(resource, owner, since, until):
                read += len(rows)
                for recorded, _ in _requests_of(arn, resource, new):
                    actions.setdefault(resource, set()).add(recorded.request.action)
                    requests += recorded.count
                yield Progress(read, read)
        if not actions:
            yield GeneratedPolicy(None, 0, [], [], 0, too_long=False, replay=None)
            return
        statements = with_sids(
            {"Effect": "Allow", "Action": sorted(found), "Resource": resource} for resource, found in actions.items()
        )
        text = _text(statements)
        named = policy.Named("generated", "", policy.parse(text, policy.Kind.IDENTITY))
        dropped: dict[str, None] = {}
        unallowed, of = 0, 2 * read
        for resource, owner in asked:  # read again, so that not all rows are in memory
            async for rows, new in self._new(resource, owner, since, until):
                read += len(rows)
                for each, policies in _requests_of(arn, resource, new):
                    if is_own and len(dropped) < _MAX_DROPPED:
                        dropped |= dict.fromkeys(await in_thread(_conditions_of_allows, each.request, policies))
                    known = policies if is_own else policy.Policies(resource=policies.resource, rcp=policies.rcp)
                    if not policy.evaluate(each.request, msgspec.structs.replace(known, identity=(named,))).allowed:
                        unallowed += 1
                yield Progress(read, max(of, read))
        findings = _findings(text, policy.Kind.IDENTITY, ref.account)
        listed = list(dropped)[:_MAX_DROPPED]
        yield GeneratedPolicy(
            text, requests, findings, [], 0, too_long=False, replay=None, dropped=listed, unallowed=unallowed
        )

    async def _new(
        self, resource: str, account: str | None, since: float, until: float
    ) -> AsyncIterator[tuple[list[DecisionSummary], list[tuple[RecordedDecision, policy.Policies]]]]:
        """Yield pages of the record, each with the allowed requests in it that differ from all before."""
        seen: Cache[tuple[str, ...], bool] = Cache("generated_from", _SEEN, entry_footprint)
        pages = self._records.pages(resource=resource, account=account, since=since, until=until, page=_PAGE_ROWS)
        async for rows in pages:
            firsts = []
            for row in rows:
                key = (row.caller, row.action, row.context, row.policies)
                if _counts(row) and key not in seen:
                    seen.keep(key, True)
                    firsts.append(row)
            loaded = []
            for recorded in await self._records.load(firsts):
                try:
                    policies = await self._records.policies(recorded.policies)
                except SharedValueMissing:
                    continue
                if recorded.is_replayable(policies):
                    loaded.append((recorded, policies))
            yield rows, loaded

    async def _use(
        self, usage: Usage, new: Sequence[tuple[RecordedDecision, policy.Policies]], everybody: bool, by_network: bool
    ) -> None:
        def work() -> None:
            for recorded, policies in new:
                request = recorded.request
                alone = policy.evaluate(request, with_repository_policy(policies, None))
                if alone.allowed and (not everybody or alone.decided_by == "root"):
                    continue
                if not policy.evaluate(request, policies).allowed:
                    continue  # it was allowed because of a mistake in an older version: no policy should grant it
                named = grantee(request.principal)
                if request.principal.kind == "role" and not _granted(request, policies, named.name):
                    # A boundary or session policy limits a grant to the role, but not one to the session.
                    named = grantee(request.principal, session=True)
                address = str(request.context.get("aws:sourceip", "")) if by_network else ""
                usage.add(named, request.action, address)

        await asyncio.to_thread(work)

    async def _in_force(self, ref: RepositoryRef) -> list[dict[str, Any]]:
        """Return the statements of the repository's policy in force."""
        text = await self._check.in_force(ref)
        return _statements(text) if text else []


def _requests_of(
    arn: str, resource: str, new: Sequence[tuple[RecordedDecision, policy.Policies]]
) -> Iterator[tuple[RecordedDecision, policy.Policies]]:
    """Yield the requests of that user or role; for the resource `*`, only its sign-ins."""
    for recorded, policies in new:
        caller = recorded.request.principal
        if arn in {caller.arn, caller.role_arn} and (resource != "*" or recorded.request.action == SIGN_IN):
            yield recorded, policies


def _text(statements: Sequence[dict[str, Any]]) -> str:
    """Return the text of a policy. Raise LimitExceeded if it is so long that nobody could use it."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
    if len(text) > _MAX_TEXT:
        raise too_many_combinations()
    return text


def _statements(text: str) -> list[dict[str, Any]]:
    statements: Any = json.loads(text)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _name(statement: dict[str, Any], at: int) -> str:
    return repr(statement["Sid"]) if statement.get("Sid") else str(at + 1)


def _condition_texts(statement: dict[str, Any], where: str) -> Iterator[str]:
    """Yield the conditions of an Allow statement in words."""
    if statement["Effect"] != "Allow":
        return
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            shown = ", ".join(map(str, listed[:_MAX_VALUES]))
            more = f" and {len(listed) - _MAX_VALUES} more" if len(listed) > _MAX_VALUES else ""
            yield f"{operator} {key} {shown}{more} (of {where})"


def _conditions_of_allows(request: policy.Request, policies: policy.Policies) -> list[str]:
    """Return the conditions of the identity policies' statements that allow the request."""
    found: list[str] = []
    for trace in policy.evaluate(request, policies).trace:
        if trace.set != "identity":
            continue
        for named, one in zip(policies.identity or (), trace.policies, strict=True):
            allowing = [each.index for each in one.statements if each.matched and each.effect == "Allow"]
            statements = _statements(named.document.text) if allowing else []
            for at in allowing:
                found += _condition_texts(statements[at], f"statement {_name(statements[at], at)} of {named.name}")
    return found


def _counts(row: DecisionSummary) -> bool:
    return row.allowed and row.action in _ACTIONS


def _granted(request: policy.Request, policies: policy.Policies, name: str) -> bool:
    statement = {"Effect": "Allow", "Principal": {"AWS": name}, "Action": request.action}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    document = policy.parse(text, policy.Kind.REPOSITORY)
    return policy.evaluate(request, with_repository_policy(policies, document)).allowed


def _findings(text: str, kind: policy.Kind, account: str) -> list[str]:
    report = lint.lint(text, kind, account=account)
    return [f"{each.severity.value}: {each.code}: {each.message}" for each in report.findings]
