"""Describes a decision: AWS's access-denied message, and Moorage's short reason (docs/development/policy-engine.md
§7.2)."""

from typing import Final

from moorage.policy.engine.decision import Decision
from moorage.policy.engine.request import Request

_NAMES: Final = {
    "identity": ("an identity-based policy", "identity-based policy"),
    "resource": ("a resource-based policy", "resource-based policy"),
    "trust": ("the role trust policy", "role trust policy"),
    "boundary": ("a permissions boundary", "permissions boundary"),
    "session": ("a session policy", "session policy"),
    "scp": ("a service control policy", "service control policy"),
    "rcp": ("a resource control policy", "resource control policy"),
}


def sentence(request: Request, decision: Decision) -> str:
    """Return AWS's message for a denied request, with the cause that `decision` names."""
    base = plain_sentence(request)
    names = _NAMES.get(decision.decided_by)
    if names is None:
        return base
    with_article, plain = names
    if decision.explicit:
        return f"{base} with an explicit deny in {with_article}"
    return f"{base} because no {plain} allows the {request.action} action"


def plain_sentence(request: Request) -> str:
    """Return AWS's message without a cause."""
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on resource: {request.resource}"
    )


def short(decision: Decision) -> str:
    """Return a line for a header or log, for example `resource: explicit deny by statement 'NoPull'`."""
    deciding = decision.deciding_statement()
    if deciding is None:
        # No statement allowed it, the kind of caller did, or the trace does not contain the deciding set.
        denied = "explicit deny" if decision.explicit else "no statement allows it"
        reason = "allowed" if decision.allowed else denied
        return f"{decision.decided_by}: {reason} ({decision.rule})"
    _, finding = deciding
    how = "explicit deny" if decision.explicit else "allowed"
    statement = f"statement {finding.sid!r}" if finding.sid else f"statement {finding.index + 1}"
    return f"{decision.decided_by}: {how} by {statement}"
