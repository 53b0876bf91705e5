"""The least policy that allows what was used, made from the record of decisions and proved by replaying it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec

from moorage import policy
from moorage.access.background_computation import in_thread
from moorage.access.repository_policy import MAX_TEXT, RepositoryPolicyCheck
from moorage.analysis.generated_policy import Usage, grantee, too_much, with_sids
from moorage.analysis.matrix import ACTIONS
from moorage.analysis.replay import Progress, Replays, with_repository_policy
from moorage.analysis.replay_tally import Report
from moorage.audit.recorded_decisions import RecordedDecision, RecordedDecisions, SharedValueMissing
from moorage.cache import Cache, entry_footprint
from moorage.errors import InvalidParameter
from moorage.names import AccountId, RepositoryRef
from moorage.policy import lint
from moorage.policy.catalog.actions import SIGN_IN
from moorage.store.metadata.audit.audit import DecisionSummary

_PAGE: Final = 500
_SEEN: Final = 32 << 20
"""Bytes of the different requests that are known; of others, equal ones are looked at again."""
_TEXT: Final = 256 << 10
"""Characters of a policy that is shown, though it is too long to be one."""
_MOST_DROPPED: Final = 50
"""Dropped conditions of identity policies that the answer lists."""
_MOST_VALUES: Final = 6
"""Values of one condition that the answer shows."""
_NOT_FOUND: Final = re.compile(r"Principal not found: (.*)", re.DOTALL)
_ACTIONS: Final = frozenset(ACTIONS) - {"ecr:CreateRepository"}
"""What a policy is made of. CreateRepository is decided on a repository that is not there yet and has no policy."""


class Generated(msgspec.Struct, frozen=True, rename="camel"):
    """A policy, and what is known of it."""

    policy: str | None
    """Its text; None: nothing has to be allowed."""
    requests: int
    """Allowed ones that it was made from."""
    findings: list[str]
    """Of lint: severity, code and message."""
    gone: list[str]
    """Principals that used it and are no longer there: a policy cannot name them."""
    kept_denies: int
    """Deny statements of the policy in force, kept as they are."""
    too_long: bool
    """Whether it is longer than a repository policy may be."""
    replay: Report | None
    """What the recorded requests become under it, compared with what was decided; None for identity policies."""
    dropped: list[str] = []
    """Conditions under which the policies in force (of an identity policy: those that allowed the requests) allow, and
    which the generated one does not have."""
    unallowed: int = 0
    """Of an identity policy: allowed requests that it alone would not allow."""


class Generator:
    """Makes policies from the record."""

    def __init__(self, records: RecordedDecisions, replays: Replays, check: RepositoryPolicyCheck) -> None:
        self._records = records
        self._replays = replays
        self._check = check

    async def for_repository(
        self, ref: RepositoryRef, *, since: float, until: float, everybody: bool, by_network: bool
    ) -> AsyncIterator[Progress | Generated]:
        """The least policy of the repository: it grants what no identity policy grants by itself.

        `everybody`: also what identity policies grant already. `by_network`: only from where it was used. Deny
        statements of the policy in force stay, as without them more would be allowed than was used.
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
            said for at, each in enumerate(in_force) for said in _conditions(each, f"statement {_name(each, at)}")
        ]
        gone: list[str] = []
        while True:
            statements = [*denies, *usage.statements(by_network=by_network)]
            if not statements:
                yield Generated(None, requests, [], gone, 0, too_long=False, replay=None)
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
        report: Report | None = None
        async for each in replay.run():
            report = each if isinstance(each, Report) else report
        shown = await self._check.shown(text)
        findings = _findings(shown, policy.Kind.REPOSITORY, ref.account)
        yield Generated(shown, requests, findings, gone, len(denies), too_long, report, dropped)

    async def for_identity(
        self, ref: RepositoryRef, arn: str, *, asking: AccountId, since: float, until: float
    ) -> AsyncIterator[Progress | Generated]:
        """The least identity policy with which the user or role of that ARN may do what it did with the repository.

        Of another account than the `asking` one only that is told: neither when it signed in, nor what its own
        account's other policies say of it.
        """
        actions: dict[str, set[str]] = {}
        requests = read = 0
        account = arn.split(":", 5)[4] if arn.count(":") >= 5 else ""
        is_own = account == asking
        asked = ((ref.arn, None), *((("*", account),) if is_own else ()))
        for resource, owner in asked:
            async for rows, new in self._new(resource, owner, since, until):
                read += len(rows)
                for recorded, _ in _of(arn, resource, new):
                    actions.setdefault(resource, set()).add(recorded.request.action)
                    requests += recorded.count
                yield Progress(read, read)
        if not actions:
            yield Generated(None, 0, [], [], 0, too_long=False, replay=None)
            return
        statements = with_sids(
            {"Effect": "Allow", "Action": sorted(found), "Resource": resource} for resource, found in actions.items()
        )
        text = _text(statements)
        named = policy.Named("generated", "", policy.parse(text, policy.Kind.IDENTITY))
        dropped: dict[str, None] = {}
        unallowed, of = 0, 2 * read
        for resource, owner in asked:  # read again, so that not all of them are in memory
            async for rows, new in self._new(resource, owner, since, until):
                read += len(rows)
                for each, policies in _of(arn, resource, new):
                    if is_own and len(dropped) < _MOST_DROPPED:
                        dropped |= dict.fromkeys(await in_thread(_conditions_met, each.request, policies))
                    known = policies if is_own else policy.Policies(resource=policies.resource, rcp=policies.rcp)
                    if not policy.evaluate(each.request, msgspec.structs.replace(known, identity=(named,))).allowed:
                        unallowed += 1
                yield Progress(read, max(of, read))
        findings = _findings(text, policy.Kind.IDENTITY, ref.account)
        said = list(dropped)[:_MOST_DROPPED]
        yield Generated(text, requests, findings, [], 0, too_long=False, replay=None, dropped=said, unallowed=unallowed)

    async def _new(
        self, resource: str, account: str | None, since: float, until: float
    ) -> AsyncIterator[tuple[list[DecisionSummary], list[tuple[RecordedDecision, policy.Policies]]]]:
        """Pages of the record, each with the allowed requests in it that are unlike those before."""
        seen: Cache[tuple[str, ...], bool] = Cache("generated_from", _SEEN, entry_footprint)
        pages = self._records.pages(resource=resource, account=account, since=since, until=until, page=_PAGE)
        async for rows in pages:
            firsts = []
            for row in rows:
                key = (row.caller, row.action, row.context, row.policies)
                if _counts(row) and key not in seen:
                    seen.keep(key, True)
                    firsts.append(row)
            whole = []
            for recorded in await self._records.load(firsts):
                try:
                    policies = await self._records.policies(recorded.policies)
                except SharedValueMissing:
                    continue
                if recorded.is_replayable(policies):
                    whole.append((recorded, policies))
            yield rows, whole

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
                    continue  # allowed once, under rules that a fault let through: no policy is to grant it again
                named = grantee(request.principal)
                if request.principal.kind == "role" and not _granted(request, policies, named.name):
                    # A boundary or session policy stands in the way of the role, not of the session named itself.
                    named = grantee(request.principal, session=True)
                address = str(request.context.get("aws:sourceip", "")) if by_network else ""
                usage.add(named, request.action, address)

        await asyncio.to_thread(work)

    async def _in_force(self, ref: RepositoryRef) -> list[dict[str, Any]]:
        """The statements of the repository's policy."""
        text = await self._check.in_force(ref)
        return _statements(text) if text else []


def _of(
    arn: str, resource: str, new: Sequence[tuple[RecordedDecision, policy.Policies]]
) -> Iterator[tuple[RecordedDecision, policy.Policies]]:
    """The requests of that user or role; on no resource (`*`) only its sign-ins."""
    for recorded, policies in new:
        caller = recorded.request.principal
        if arn in {caller.arn, caller.role_arn} and (resource != "*" or recorded.request.action == SIGN_IN):
            yield recorded, policies


def _text(statements: Sequence[dict[str, Any]]) -> str:
    """LimitExceeded where it is so long that nobody could use it."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
    if len(text) > _TEXT:
        raise too_much()
    return text


def _statements(text: str) -> list[dict[str, Any]]:
    statements: Any = json.loads(text)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _name(statement: dict[str, Any], at: int) -> str:
    return repr(statement["Sid"]) if statement.get("Sid") else str(at + 1)


def _conditions(statement: dict[str, Any], where: str) -> Iterator[str]:
    """The conditions of an Allow, in words."""
    if statement["Effect"] != "Allow":
        return
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            listed = values if isinstance(values, list) else [values]
            shown = ", ".join(map(str, listed[:_MOST_VALUES]))
            more = f" and {len(listed) - _MOST_VALUES} more" if len(listed) > _MOST_VALUES else ""
            yield f"{operator} {key} {shown}{more} (of {where})"


def _conditions_met(request: policy.Request, policies: policy.Policies) -> list[str]:
    """Those of the identity policies' statements that allow the request."""
    found: list[str] = []
    for trace in policy.evaluate(request, policies).trace:
        if trace.set != "identity":
            continue
        for named, one in zip(policies.identity or (), trace.policies, strict=True):
            allowing = [each.index for each in one.statements if each.matched and each.effect == "Allow"]
            statements = _statements(named.document.text) if allowing else []
            for at in allowing:
                found += _conditions(statements[at], f"statement {_name(statements[at], at)} of {named.name}")
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
