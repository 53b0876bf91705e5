"""The ECR API: its operations, one module for each capability, and the types generated from its service model."""

from moorage.api.ecr import (  # registers the operations
    authorization,
    image_lists,
    images,
    layers,
    registry,
    registry_policy,
    repositories,
    repository_policy,
    tags,
    uploads,
)
from moorage.api.ecr.service import ECR, NOT_BUILT, EcrServices

__all__ = [
    "ECR",
    "NOT_BUILT",
    "EcrServices",
    "authorization",
    "image_lists",
    "images",
    "layers",
    "registry",
    "registry_policy",
    "repositories",
    "repository_policy",
    "tags",
    "uploads",
]
