"""Describes suggested changes in words."""

from collections.abc import Mapping
from typing import Any, Final

from moorage.policy.engine.decision import SetName
from moorage.policy.engine.request import Named
from moorage.policy.language.kind import Kind
from moorage.policy.matching.principal import Principal

NEW: Final = "(new)"
"""The name of a policy that does not exist yet."""
_SUMMARIES: Final[Mapping[str, str]] = {
    "add-value": "in {policy}, let {statement} also match {detail}",
    "add-action": "in {policy}, add {detail} to {statement}",
    "add-resource": "in {policy}, add {detail} to {statement}",
    "add-principal": "in {policy}, add {detail} to {statement}",
    "add-statement": "add a statement to {policy}",
    "replace-policy": "replace {policy}, which AWS manages, with a copy of your own that has one more statement",
    "spare-value": "in {policy}, exclude {detail} from {statement}",
    "spare-principal": "in {policy}, exclude {detail} from {statement}",
    "remove-statement": "remove {statement} from {policy}",
}
_POLICIES: Final[Mapping[SetName, str]] = {
    "identity": "identity policy",
    "resource": "repository policy",
    "trust": "trust policy",
    "boundary": "permissions boundary",
    "session": "session policy",
    "scp": "service control policy",
    "rcp": "resource control policy",
}


def summary(
    change: str,
    name: SetName,
    named: Named,
    kind: Kind,
    caller: Principal,
    before: dict[str, Any] | None,
    detail: str,
) -> str:
    """Return what a change of that kind does to the policy `named`, which is of `kind` and in the set `name`.

    `before`: the statement that is changed. `detail`: as in `Change`.
    """
    policy = _policy(name, named, kind, caller)
    return _SUMMARIES[change].format(statement=_statement(before), policy=policy, detail=detail)


def _policy(name: SetName, named: Named, kind: Kind, caller: Principal) -> str:
    called = "registry policy" if kind is Kind.REGISTRY else _POLICIES[name]
    if not named.hash:
        if name == "identity":
            return f"a new inline policy of {caller.role_arn or caller.user_arn or caller.arn}"
        return f"a new {called}"
    return f"the {called}" if name in {"resource", "trust"} else f"the {called} {named.name}"


def _statement(statement: dict[str, Any] | None) -> str:
    if statement is None:
        return ""
    sid = statement.get("Sid")
    return f"statement {sid!r}" if sid else f"the {statement['Effect']} statement"
