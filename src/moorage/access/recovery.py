"""The way out of a lock-out: what an account's root may do whatever its own repository and registry policies say."""

from typing import Final

import msgspec

from moorage import policy
from moorage.policy.catalog.actions import POLICY_RECOVERY

RECOVERY_RULE: Final = "0-root-recovers"


def is_way_out(request: policy.Request, *, verified: bool) -> bool:
    """Whether the verified root of the owning account asks for what gets it out of a lock-out (design §4).

    The way leads past the policies of the repository and the registry, past nothing else.
    """
    principal = request.principal
    return (
        request.action in POLICY_RECOVERY
        and verified
        and principal.kind == "root"
        and principal.account == request.resource_account
    )


def may_recover(decision: policy.Decision, policies: policy.Policies, *, verified: bool) -> bool:
    """Whether what was denied is allowed all the same, being the way out."""
    return (
        not decision.allowed
        and decision.decided_by == "resource"
        and is_way_out(decision.request, verified=verified)
        and policy.evaluate(decision.request, msgspec.structs.replace(policies, resource=None)).allowed
    )
