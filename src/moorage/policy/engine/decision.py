"""The decision on a request, and how it was reached."""

from typing import Literal

import msgspec

from moorage.policy.engine.request import Request
from moorage.policy.matching.statement import Finding

SetName = Literal["identity", "resource", "trust", "boundary", "session", "scp", "rcp"]
DecidedBy = Literal["identity", "resource", "trust", "boundary", "session", "scp", "rcp", "root", "service", "request"]
Verdict = Literal["deny", "allow", "none"]


class PolicyTrace(msgspec.Struct, frozen=True):
    """The statements of one policy, each with its result for the request."""

    name: str
    hash: str
    statements: tuple[Finding, ...]


class SetTrace(msgspec.Struct, frozen=True):
    """One policy set; for SCPs and RCPs, one level. Sets that are not attached have no trace."""

    set: SetName
    result: Verdict
    """`deny`: a Deny matched; `allow`: an Allow matched and no Deny; `none`: neither."""
    policies: tuple[PolicyTrace, ...]
    strength: str = "none"
    """For a resource set that allows: how its strongest Allow names the caller."""
    level: int = 0
    """For SCPs and RCPs: the level, from 0."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Whether a request is allowed, and why."""

    request: Request
    allowed: bool
    explicit: bool
    """For a denial: whether a Deny statement matched, or nothing allowed it."""
    decided_by: DecidedBy
    """The set that allowed or denied it; `root`, `service`: the kind of caller; `request`: the request was not valid.
    """
    rule: str
    """The step of docs/development/policy-engine.md §2.3 that decided, such as `5a-direct-resource-grant`."""
    trace: tuple[SetTrace, ...]

    def deciding_statement(self) -> tuple[PolicyTrace, Finding] | None:
        """The statement that decided: the first matching Deny or Allow of the deciding set; None if there is none."""
        effect = "Deny" if self.explicit else "Allow" if self.allowed else None
        for one in self.trace:
            if one.set != self.decided_by or effect is None:
                continue
            for policy in one.policies:
                for finding in policy.statements:
                    if finding.matched and finding.effect == effect:
                        return policy, finding
        return None

    def missing_keys(self) -> tuple[str, ...]:
        """Condition keys whose absence was the first reason why some statement did not match."""
        keys = {
            finding.key: None
            for one in self.trace
            for policy in one.policies
            for finding in policy.statements
            if finding.key is not None and finding.because == "key-missing"
        }
        return tuple(keys)
