"""Explains a decision in full (docs/development/policy-engine.md §7.1)."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from moorage.policy.analysis.changeable import resource_policies
from moorage.policy.analysis.explanation import (
    ContextValue,
    ExplainedCondition,
    ExplainedElement,
    ExplainedPolicy,
    ExplainedPrincipal,
    ExplainedPrincipalElement,
    ExplainedRequest,
    ExplainedSet,
    ExplainedStatement,
    Explanation,
    TextPosition,
)
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
"""In the order in which they are explained: those of the caller, of the organization, of the resource."""

Texts = Callable[[Named], str]
"""Returns the text of a policy as readers see it: with the ARNs of users, not with the ids they are stored by."""

_WITHOUT: Final[Mapping[str, frozenset[SetName]]] = {
    "root": frozenset({"identity", "boundary", "session"}),
    **dict.fromkeys(("anonymous", "web", "service"), frozenset({"identity", "boundary", "session", "scp"})),
}
"""Sets that callers of a kind never have."""
_LABELS: Final[Mapping[SetName, str]] = {
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


def explain(decision: Decision, policies: Policies, visible: frozenset[SetName], texts: Texts) -> Explanation:
    """Return the explanation of a decision on `policies`, which must have been made with details.

    Sets that are not in `visible` are only listed as hidden.
    """
    request = decision.request
    caller = request.principal
    same = caller.account == request.resource_account
    return Explanation(
        decision="ALLOW" if decision.allowed else "DENY",
        kind=None if decision.allowed else "explicit" if decision.explicit else "implicit",
        decided_by=decision.decided_by,
        decided_in=_decided_in(decision, policies, visible),
        rule=decision.rule,
        reason=_reason(decision, visible),
        message=None if decision.allowed else sentence(request, decision),
        request=ExplainedRequest(
            principal=ExplainedPrincipal(
                arn=caller.arn,
                role_arn=caller.role_arn,
                id=caller.id,
                type=caller.kind,
                account=caller.account or None,
            ),
            action=request.action,
            resource=request.resource,
            resource_account=request.resource_account,
            same_account=same,
            cross_account=not same and bool(caller.account),
        ),
        sets=[each for name in SETS for each in _set(decision, policies, name, name in visible, texts)],
        missing_context=list(decision.missing_keys()) if visible >= {one.set for one in decision.trace} else [],
    )


def _reason(decision: Decision, visible: frozenset[SetName]) -> str:
    """Return the reason in one line; it names the deciding statement only if the reader may see it."""
    if decision.deciding_statement() is not None and decision.decided_by in visible:
        return short(decision)
    how = "allowed" if decision.allowed else "explicit deny" if decision.explicit else "no statement allows it"
    return f"{decision.decided_by}: {how}"


def context_values(values: Mapping[str, str | tuple[str, ...]]) -> list[ContextValue]:
    """Return condition keys with their values and where each comes from."""
    return [
        ContextValue(key=key, values=[value] if isinstance(value, str) else list(value), source=source_of(key))
        for key, value in sorted(values.items())
    ]


def source_of(key: str) -> str:
    """Return where a condition key's value comes from: clock, connection, resource, request or credential."""
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


def set_label(request: Request, name: SetName, attached: Sequence[Named] | None = None) -> str:
    """Return what a set is called for such a request. `attached`: its policies, where the reader may know them."""
    if name != "resource":
        return _LABELS[name]
    kinds = {named.document.kind for named in attached or ()} or set(resource_policies(request)[:1])
    if len(kinds) > 1:
        return "repository and registry policies"
    return "registry policy" if Kind.REGISTRY in kinds else "repository policy"


def _decided_in(decision: Decision, policies: Policies, visible: frozenset[SetName]) -> str | None:
    """Return what the deciding policies are called; None if no policy decided, or there can be none."""
    if decision.decided_by not in SETS or never_applies(decision, policies, decision.decided_by):
        return None
    name, request = decision.decided_by, decision.request
    if name != "resource":
        return set_label(request, name)
    if name in visible:
        deciding = decision.deciding_statement()
        attached = policies.resource or ()
        if deciding is not None:
            attached = [each for each in attached if (each.name, each.hash) == (deciding[0].name, deciding[0].hash)]
        return set_label(request, name, attached)
    either = decision.explicit and len(resource_policies(request)) > 1
    return "repository or registry policy" if either else set_label(request, name)


def _set(decision: Decision, policies: Policies, name: SetName, is_visible: bool, texts: Texts) -> list[ExplainedSet]:
    """Return one entry, or one for each level of SCPs and RCPs; none for a set that such a request never has."""
    if never_applies(decision, policies, name):
        return []
    if not is_visible:
        return [ExplainedSet(set=name, called=set_label(decision.request, name), hidden=True)]
    traces = [one for one in decision.trace if one.set == name]
    attached: Any = getattr(policies, name)
    label = set_label(decision.request, name, attached if name == "resource" else None)
    if not traces or attached is None:
        return [ExplainedSet(set=name, called=label, present=False, result=None, policies=[])]
    levels: Sequence[Sequence[Named]] = attached if name in {"scp", "rcp"} else [attached]
    return [_one(one, levels[one.level], label, texts) for one in traces]


def _one(one: SetTrace, attached: Sequence[Named], label: str, texts: Texts) -> ExplainedSet:
    return ExplainedSet(
        set=one.set,
        called=label,
        present=True,
        result=one.result,
        level=one.level if one.set in {"scp", "rcp"} else UNSET,
        grant=UNSET if one.strength == "none" else one.strength,
        policies=[
            _policy(trace, named.document, texts(named)) for trace, named in zip(one.policies, attached, strict=True)
        ],
    )


def _policy(trace: PolicyTrace, document: Document, text: str) -> ExplainedPolicy:
    places: Places = {}
    read(text, places, ErrorCollector(keep=False))
    statements = json.loads(text)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return ExplainedPolicy(
        name=trace.name,
        hash=trace.hash,
        version=document.version,
        statements=[
            _statement(finding, listed[finding.index], _span(text, places, finding.index, statements))
            for finding in trace.statements
        ],
    )


def _span(text: str, places: Places, index: int, statements: Any) -> TextPosition:
    start = places[f"/Statement/{index}" if isinstance(statements, list) else "/Statement"].start
    return TextPosition(line=text.count("\n", 0, start) + 1, column=start - text.rfind("\n", 0, start))


def _statement(finding: Finding, statement: dict[str, Any], span: TextPosition) -> ExplainedStatement:
    detail = finding.detail or Detail(None, False, None, ())
    return ExplainedStatement(
        index=finding.index,
        sid=finding.sid,
        effect=finding.effect,
        matched=finding.matched,
        first_failed=finding.first_failed,
        principal=ExplainedPrincipalElement(
            matched=detail.principal, kind=None if finding.strength == "none" else finding.strength
        ),
        action=ExplainedElement(matched=detail.action),
        resource=ExplainedElement(matched=detail.resource),
        conditions=[_condition(test) for test in detail.conditions],
        statement=statement,
        span=span,
    )


def _condition(test: TestDetail) -> ExplainedCondition:
    return ExplainedCondition(
        operator=test.operator,
        key=test.key,
        policy_values=list(test.policy_values),
        resolved_values=list(test.resolved_values),
        context_values=None if test.context_values is None else list(test.context_values),
        key_present=test.context_values is not None,
        matched=test.matched,
        because=test.because,
    )
