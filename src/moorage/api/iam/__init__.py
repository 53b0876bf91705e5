"""IAM's API over the Query protocol: users, groups, roles, their policies and keys, one module a capability."""

from moorage.api.iam import (  # registers the operations
    absent,
    access_keys,
    account,
    attachments,
    authorization_details,
    boundaries,
    groups,
    inline_policies,
    managed_policies,
    policy_versions,
    roles,
    service_linked_roles,
    simulation,
    tags,
    users,
)
from moorage.api.iam.service import IAM, IamServices

__all__ = [
    "IAM",
    "IamServices",
    "absent",
    "access_keys",
    "account",
    "attachments",
    "authorization_details",
    "boundaries",
    "groups",
    "inline_policies",
    "managed_policies",
    "policy_versions",
    "roles",
    "service_linked_roles",
    "simulation",
    "tags",
    "users",
]
