"""Recovery from a lock-out: what an account's root user may do whatever its repository and registry policies say."""

from typing import Final

import msgspec

from moorage import policy
from moorage.policy.catalog.actions import POLICY_RECOVERY

RECOVERY_RULE: Final = "0-root-recovers"


def is_root_recovery(request: policy.Request, *, verified: bool) -> bool:
    """Return whether the verified root user of the owning account requests an action that ends a lock-out.

    Only the policies of the repository and the registry are bypassed (docs/development/design.md §4).
    """
    principal = request.principal
    return (
        request.action in POLICY_RECOVERY
        and verified
        and principal.kind == "root"
        and principal.account == request.resource_account
    )


def recovers_root(decision: policy.Decision, policies: policy.Policies, *, verified: bool) -> bool:
    """Return whether a denied request is allowed after all, because it ends a lock-out."""
    return (
        not decision.allowed
        and decision.decided_by == "resource"
        and is_root_recovery(decision.request, verified=verified)
        and policy.evaluate(decision.request, msgspec.structs.replace(policies, resource=None)).allowed
    )
