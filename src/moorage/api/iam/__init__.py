"""IAM's API over the Query protocol: users, groups, roles, their policies and keys, one module a capability."""

from moorage.api.iam.operations import IAM
from moorage.api.iam.service import IamServices

__all__ = ["IAM", "IamServices"]
