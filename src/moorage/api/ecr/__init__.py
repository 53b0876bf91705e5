"""Amazon ECR's API: the operations, one module a capability, and the types generated from its service model."""

from moorage.api.ecr.operations import ECR, NOT_BUILT
from moorage.api.ecr.service import EcrServices

__all__ = ["ECR", "NOT_BUILT", "EcrServices"]
