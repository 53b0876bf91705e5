"""What a suggestion would allow besides the request: described in words, and counted on recorded requests."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from moorage.policy.analysis.candidate_changes import Change, Json
from moorage.policy.analysis.suggestions import Suggestion, with_change
from moorage.policy.engine.evaluate import Plan
from moorage.policy.engine.request import Policies, Request
from moorage.policy.matching.principal import Principal, account_named

MAX_LISTED: Final = 20
"""Most pairs of a principal and an action that are listed."""


class DeniedRequest(NamedTuple):
    """A recorded request that was denied."""

    id: str
    request: Request
    policies: Policies
    times: int


class NewlyAllowed(msgspec.Struct, frozen=True):
    """Recorded requests that a suggestion would also have allowed."""

    principal: str
    action: str
    times: int
    example: str
    """Id of one of the decisions."""


def newly_allowed(
    suggestion: Suggestion, cases: Iterable[DeniedRequest], caller: Request, policies: Policies
) -> tuple[tuple[NewlyAllowed, ...], int]:
    """Return the denied requests of `cases` that it would allow, by principal and action, and their total number.

    `policies`: those that the suggestion was made for. A changed repository policy applies to every case on that
    repository, any other policy to cases where it was attached, a new identity policy to the caller alone. Requests
    that the policies would allow today without the change are not counted.
    """
    found: dict[tuple[str, str], NewlyAllowed] = {}
    total = 0
    of_resource = any(each.set == "resource" for each in suggestion.changes)
    # Most denials are of few callers and policies, so plans are shared.
    plans: dict[tuple[int, Principal, str, str], _Plans] = {}
    for case in cases:
        request = case.request
        of_case = (id(case.policies), request.principal, request.action, request.resource)
        compared = plans.get(of_case)
        if compared is None:
            before = case.policies
            if of_resource and request.resource == caller.resource:
                before = msgspec.structs.replace(before, resource=policies.resource)
            after = _changed(request, before, suggestion, caller)
            compared = plans[of_case] = _Plans(
                case.policies, _plan(request, before), None if after is None else _plan(request, after)
            )
        if compared.after is None or not _allows(compared.after, request) or _allows(compared.before, request):
            continue
        total += case.times
        key = (case.request.principal.arn, case.request.action)
        known = found.get(key)
        if known is not None:
            found[key] = msgspec.structs.replace(known, times=known.times + case.times)
        elif len(found) < MAX_LISTED:
            found[key] = NewlyAllowed(*key, case.times, case.id)
    return tuple(sorted(found.values(), key=lambda each: -each.times)), total


class _Plans(NamedTuple):
    """The plans for denied requests of a caller for an action on a resource."""

    recorded: Policies
    """Kept so that no other object gets its id, by which the plans are looked up."""
    before: Plan
    after: Plan | None
    """None: the suggestion does not affect these requests."""


def _plan(request: Request, policies: Policies) -> Plan:
    return Plan(request.principal, request.action, policies)


def _allows(plan: Plan, request: Request) -> bool:
    return plan.decide(request.resource, request.resource_account, request.context).allowed


def _changed(request: Request, policies: Policies, suggestion: Suggestion, caller: Request) -> Policies | None:
    """Return the policies after the suggestion; None if it does not affect the request."""
    affected = False
    for change, named in zip(suggestion.changes, suggestion.named, strict=True):
        if change.set == "resource":
            if request.resource != caller.resource:
                continue
        elif not _is_attached(policies, change, request, caller):
            continue
        policies, affected = with_change(policies, change, named), True
    return policies if affected else None


def _is_attached(policies: Policies, change: Change, request: Request, caller: Request) -> bool:
    if not change.hash or change.kind == "replace-policy":
        return _owner(request) == _owner(caller)
    attached: Any = getattr(policies, change.set)
    if change.set in {"scp", "rcp"}:
        attached = attached[change.level] if attached is not None and change.level < len(attached) else None
    return any((each.name, each.hash) == (change.policy, change.hash) for each in attached or ())


def _owner(request: Request) -> str:
    """Return the id of the user or role that the caller's own policies are attached to."""
    caller = request.principal
    return caller.role_id or caller.user_id or caller.id


def effect_of(change: Change, caller: Request) -> str:
    """Return whom a change allows to do what, in one sentence, whatever other policies say."""
    statement = change.after if change.after is not None else change.before
    if statement is None:
        return ""
    who = _who(change, statement, caller)
    if change.kind in {"remove-statement", "spare-principal", "spare-value"}:
        whom = change.detail if change.kind == "spare-principal" else who
        where = f" when {change.detail}" if change.kind == "spare-value" else ""
        before = change.before or statement
        may = f"may {_what(change, before)}{_when(before)} wherever another policy allows it"
        return f"{whom}{where} is no longer denied, and {may}"
    if change.kind == "add-value":
        added = change.detail
        when = _when(statement, excluded=added.partition(" = ")[0])
        return f"{who} may then {_what(change, statement)} also when {added}{when}"
    if change.kind == "add-principal":
        what = f"{_what(change, statement)}{_when(statement)}"
        return f"{_principal(change.detail)} may then {what}, all that the statement allows"
    if change.kind == "add-action":
        return f"{who} may then use {change.detail}{_when(statement)}"
    return f"{who} may then {_what(change, statement)}{_when(statement)}"


def _who(change: Change, statement: Json, caller: Request) -> str:
    if change.set in {"resource", "trust", "rcp"}:
        if "NotPrincipal" in statement:
            return f"everyone but {', '.join(_named(statement['NotPrincipal']))}, including anonymous callers,"
        return " and ".join(_principal(each) for each in _named(statement.get("Principal", "*")))
    if change.set == "scp":
        return f"every principal of account {caller.principal.account}, where another policy allows it,"
    if change.set == "session":
        return "this session"
    if not change.hash:
        return principal_of(caller)
    if change.set == "boundary":
        has_it = (
            principal_of(caller)
            if change.kind == "replace-policy"
            else f"every principal with the boundary {change.policy}"
        )
        return f"{has_it}, where another policy allows it,"
    return f"every principal with the policy {change.policy}"


def principal_of(request: Request) -> str:
    """Return the caller in words. A role session stands for every session of the role."""
    caller = request.principal
    return f"every session of {caller.role_arn}" if caller.role_arn is not None else caller.arn


def _named(principal: Any) -> list[str]:
    if isinstance(principal, str):
        return [principal]
    return [each for value in principal.values() for each in (value if isinstance(value, list) else [value])]


def _principal(text: str) -> str:
    if text == "*":
        return "anyone, including anonymous callers,"
    if ":oidc-provider/" in text:
        return f"everyone authenticated by {text}"
    account = account_named(text)
    if account is not None:
        return f"everyone in account {account} whose own policies allow it"
    return f"every session of {text}" if ":role/" in text else text


def _what(change: Change, statement: Json) -> str:
    only_ecr = change.set == "resource" and statement["Effect"] == "Allow"  # `kind.Rules.granted_service`
    everything = "use every action of ECR" if only_ecr else "do everything"
    if "NotAction" in statement:
        return f"{everything} but {_listed(statement['NotAction'])}"
    actions = statement.get("Action", [])
    listed = actions if isinstance(actions, list) else [actions]
    if "*" in listed:
        others = [each for each in listed if only_ecr and not each.lower().startswith(("*", "ecr:"))]
        return f"{everything} and {_listed(others)}" if others else everything
    resource = statement.get("Resource")
    on = f" on {_listed(resource)}" if resource is not None and resource != "*" else ""
    return f"use {_listed(actions)}{on}"


def _when(statement: Json, excluded: str = "") -> str:
    """Return the statement's conditions except the one on the key `excluded`."""
    tests = [
        f"{operator} {key} {_listed(value)}"
        for operator, keys in statement.get("Condition", {}).items()
        for key, value in keys.items()
        if key.lower() != excluded.lower()
    ]
    return f" (where {' and '.join(tests)})" if tests else ""


def _listed(value: Any) -> str:
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    shown = ", ".join(map(str, values[:6]))
    return f"{shown} and {len(values) - 6} more" if len(values) > 6 else shown
