"""IAM's API over the Query protocol: users, their access keys and inline policies, one module a capability."""

from moorage.api.iam import access_keys, user_policies, users  # registers the operations
from moorage.api.iam.service import IAM, IamServices

__all__ = ["IAM", "IamServices", "access_keys", "user_policies", "users"]
