"""A decision in full, as plain data for JSON: the shape of docs/development/policy-engine.md §7.1."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moorage.policy.analysis.changeable import resource_policies
from moorage.policy.analysis.sentence import sentence, short
from moorage.policy.analysis.time_boundaries import CLOCK_KEYS
from moorage.policy.engine.decision import Decision, PolicyTrace, SetName, SetTrace
from moorage.policy.engine.request import Named, Policies, Request
from moorage.policy.language.document import Document
from moorage.policy.language.json_reader import Places, read
from moorage.policy.language.kind import Kind
from moorage.policy.matching.errors import ErrorCollector
from moorage.policy.matching.statement import Detail, Finding, TestDetail

SETS: Final[tuple[SetName, ...]] = ("identity", "boundary", "session", "scp", "rcp", "resource", "trust")
"""In the order in which they are told: the caller's side, the organisation's, the resource's."""

Texts = Callable[[Named], str]
"""The text of a policy as its readers know it (users by their ARNs, not by the ids they are stored under)."""

_WITHOUT: Final[Mapping[str, frozenset[SetName]]] = {
    "root": frozenset({"identity", "boundary", "session"}),
    **dict.fromkeys(("anonymous", "web", "service"), frozenset({"identity", "boundary", "session", "scp"})),
}
"""Sets that a caller of a kind never has."""
_CALLED: Final[Mapping[SetName, str]] = {
    "identity": "identity policies",
    "boundary": "permissions boundary",
    "session": "session policy",
    "scp": "service control policies",
    "rcp": "resource control policies",
    "trust": "trust policy of the role",
}
_CONNECTION: Final = frozenset(
    {
        "aws:referer",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:sourceip",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:useragent",
        "aws:vpcsourceip",
    }
)
_REQUEST: Final = ("aws:requesttag/", "aws:tagkeys", "ecr:accountsetting", "sts:")
_RESOURCE: Final = ("aws:resource", "ecr:resourcetag/")


def explanation(decision: Decision, policies: Policies, visible: frozenset[SetName], texts: Texts) -> dict[str, Any]:
    """The decision, which has details, on `policies`. Of sets that are not `visible` only that they are hidden is told.

    `context` is told by the caller of this function, who knows what of it may be read.
    """
    request = decision.request
    caller = request.principal
    same = caller.account == request.resource_account
    return {
        "decision": "ALLOW" if decision.allowed else "DENY",
        "kind": None if decision.allowed else "explicit" if decision.explicit else "implicit",
        "decidedBy": decision.decided_by,
        "decidedIn": _decided_in(decision, policies, visible),
        "rule": decision.rule,
        "reason": _reason(decision, visible),
        "message": None if decision.allowed else sentence(request, decision),
        "request": {
            "principal": {
                "arn": caller.arn,
                "roleArn": caller.role_arn,
                "id": caller.id,
                "type": caller.kind,
                "account": caller.account or None,
            },
            "action": request.action,
            "resource": request.resource,
            "resourceAccount": request.resource_account,
            "sameAccount": same,
            "crossAccount": not same and bool(caller.account),
        },
        "sets": [each for name in SETS for each in _set(decision, policies, name, name in visible, texts)],
        "missingContext": list(decision.missing_keys()) if visible >= {one.set for one in decision.trace} else [],
    }


def _reason(decision: Decision, visible: frozenset[SetName]) -> str:
    """One line; the statement that decided is named to those who may read it."""
    if decision.deciding_statement() is not None and decision.decided_by in visible:
        return short(decision)
    how = "allowed" if decision.allowed else "explicit deny" if decision.explicit else "no statement allows it"
    return f"{decision.decided_by}: {how}"


def context(values: Mapping[str, str | tuple[str, ...]]) -> list[dict[str, Any]]:
    """Condition keys with their values and where each comes from."""
    return [
        {"key": key, "values": [value] if isinstance(value, str) else list(value), "source": source_of(key)}
        for key, value in sorted(values.items())
    ]


def source_of(key: str) -> str:
    """Where the value of a condition key comes from: clock, connection, resource, request or credential."""
    if key in CLOCK_KEYS:
        return "clock"
    if key in _CONNECTION:
        return "connection"
    if key.startswith(_RESOURCE):
        return "resource"
    return "request" if key.startswith(_REQUEST) else "credential"


def never_applies(decision: Decision, policies: Policies, name: SetName) -> bool:
    """Return whether there can be no policies of that set for such a request: not for its caller, nor its resource."""
    request = decision.request
    if name in _WITHOUT.get(request.principal.kind, ()):
        return True
    if name == "trust":
        return policies.trust is None  # only a role has one
    if name == "resource":
        return not resource_policies(request) and not policies.resource
    if name == "rcp":
        return not resource_policies(request) and policies.rcp is None and not request.action.startswith("sts:")
    return False


def called(request: Request, name: SetName, attached: Sequence[Named] | None = None) -> str:
    """Return what a set is called for such a request. `attached`: its policies, where the reader may know them."""
    if name != "resource":
        return _CALLED[name]
    kinds = {named.document.kind for named in attached or ()} or set(resource_policies(request)[:1])
    if len(kinds) > 1:
        return "repository and registry policies"
    return "registry policy" if Kind.REGISTRY in kinds else "repository policy"


def _decided_in(decision: Decision, policies: Policies, visible: frozenset[SetName]) -> str | None:
    """What the policies are called that decided; None when none did, or there can be none."""
    if decision.decided_by not in SETS or never_applies(decision, policies, decision.decided_by):
        return None
    name, request = decision.decided_by, decision.request
    if name != "resource":
        return called(request, name)
    if name in visible:
        deciding = decision.deciding_statement()
        attached = policies.resource or ()
        if deciding is not None:
            attached = [each for each in attached if (each.name, each.hash) == (deciding[0].name, deciding[0].hash)]
        return called(request, name, attached)
    either = decision.explicit and len(resource_policies(request)) > 1
    return "repository or registry policy" if either else called(request, name)


def _set(decision: Decision, policies: Policies, name: SetName, is_visible: bool, texts: Texts) -> list[dict[str, Any]]:
    """One entry, or one a level of SCPs and RCPs; none for a set that such a request never has."""
    if never_applies(decision, policies, name):
        return []
    if not is_visible:
        return [{"set": name, "called": called(decision.request, name), "hidden": True}]
    traces = [one for one in decision.trace if one.set == name]
    attached: Any = getattr(policies, name)
    named = called(decision.request, name, attached if name == "resource" else None)
    if not traces or attached is None:
        return [{"set": name, "called": named, "present": False, "result": None, "policies": []}]
    levels: Sequence[Sequence[Named]] = attached if name in {"scp", "rcp"} else [attached]
    return [_one(one, levels[one.level], named, texts) for one in traces]


def _one(one: SetTrace, attached: Sequence[Named], named: str, texts: Texts) -> dict[str, Any]:
    told: dict[str, Any] = {"set": one.set, "called": named, "present": True, "result": one.result}
    if one.set in {"scp", "rcp"}:
        told["level"] = one.level
    if one.strength != "none":
        told["grant"] = one.strength
    told["policies"] = [
        _policy(trace, named.document, texts(named)) for trace, named in zip(one.policies, attached, strict=True)
    ]
    return told


def _policy(trace: PolicyTrace, document: Document, text: str) -> dict[str, Any]:
    places: Places = {}
    read(text, places, ErrorCollector(keep=False))
    statements = json.loads(text)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return {
        "name": trace.name,
        "hash": trace.hash,
        "version": document.version,
        "statements": [
            _statement(finding, listed[finding.index], _span(text, places, finding.index, statements))
            for finding in trace.statements
        ],
    }


def _span(text: str, places: Places, index: int, statements: Any) -> dict[str, int]:
    start = places[f"/Statement/{index}" if isinstance(statements, list) else "/Statement"].start
    return {"line": text.count("\n", 0, start) + 1, "column": start - text.rfind("\n", 0, start)}


def _statement(finding: Finding, statement: Any, span: dict[str, int]) -> dict[str, Any]:
    detail = finding.detail or Detail(None, False, None, ())
    return {
        "index": finding.index,
        "sid": finding.sid,
        "effect": finding.effect,
        "matched": finding.matched,
        "firstFailed": finding.first_failed,
        "principal": {"matched": detail.principal, "kind": None if finding.strength == "none" else finding.strength},
        "action": {"matched": detail.action},
        "resource": {"matched": detail.resource},
        "conditions": [_test(test) for test in detail.conditions],
        "statement": statement,
        "span": span,
    }


def _test(test: TestDetail) -> dict[str, Any]:
    return {
        "operator": test.operator,
        "key": test.key,
        "policyValues": list(test.policy_values),
        "resolvedValues": list(test.resolved_values),
        "contextValues": None if test.context_values is None else list(test.context_values),
        "keyPresent": test.context_values is not None,
        "matched": test.matched,
        "because": test.because,
    }
