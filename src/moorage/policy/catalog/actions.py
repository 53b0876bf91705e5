"""The actions of ECR and of Moorage: access level, resource type, and which of them make up a push or a pull.

ECR's come from the Service Authorization Reference. Its three permission-only actions have no API operation, and one
operation has no action of its own (`AUTHORIZED_BY`).
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Level = Literal["Read", "List", "Write", "Permissions management", "Tagging"]
ResourceType = Literal["repository", "*"]


class Action(NamedTuple):
    """One row of the catalog."""

    name: str
    """Without the service prefix."""
    level: Level
    resource: ResourceType
    """`*`: not an action on a repository, so no repository policy can grant it."""
    permission_only: bool = False


_READ: Final[Level] = "Read"
_LIST: Final[Level] = "List"
_WRITE: Final[Level] = "Write"
_PERMISSIONS: Final[Level] = "Permissions management"
_TAGGING: Final[Level] = "Tagging"

_ECR: Final[tuple[Action, ...]] = (
    Action("BatchCheckLayerAvailability", _READ, "repository"),
    Action("BatchDeleteImage", _WRITE, "repository"),
    Action("BatchGetImage", _READ, "repository"),
    Action("BatchGetRepositoryScanningConfiguration", _READ, "repository"),
    Action("BatchImportUpstreamImage", _WRITE, "repository", permission_only=True),
    Action("CompleteLayerUpload", _WRITE, "repository"),
    Action("CreatePullThroughCacheRule", _WRITE, "*"),
    Action("CreateRepository", _WRITE, "repository"),
    Action("CreateRepositoryCreationTemplate", _WRITE, "*"),
    Action("DeleteLifecyclePolicy", _WRITE, "repository"),
    Action("DeletePullThroughCacheRule", _WRITE, "*"),
    Action("DeleteRegistryPolicy", _PERMISSIONS, "*"),
    Action("DeleteRepository", _WRITE, "repository"),
    Action("DeleteRepositoryCreationTemplate", _WRITE, "*"),
    Action("DeleteRepositoryPolicy", _PERMISSIONS, "repository"),
    Action("DeleteSigningConfiguration", _WRITE, "*"),
    Action("DeregisterPullTimeUpdateExclusion", _WRITE, "*"),
    Action("DescribeImageReplicationStatus", _READ, "repository"),
    Action("DescribeImages", _LIST, "repository"),
    Action("DescribeImageScanFindings", _READ, "repository"),
    Action("DescribeImageSigningStatus", _READ, "repository"),
    Action("DescribePullThroughCacheRules", _LIST, "*"),
    Action("DescribeRegistry", _READ, "*"),
    Action("DescribeRepositories", _READ, "repository"),
    Action("DescribeRepositoryCreationTemplates", _READ, "*"),
    Action("GetAccountSetting", _READ, "*"),
    Action("GetAuthorizationToken", _READ, "*"),
    Action("GetDownloadUrlForLayer", _READ, "repository"),
    Action("GetImageCopyStatus", _READ, "repository", permission_only=True),
    Action("GetLifecyclePolicy", _READ, "repository"),
    Action("GetLifecyclePolicyPreview", _READ, "repository"),
    Action("GetRegistryPolicy", _READ, "*"),
    Action("GetRegistryScanningConfiguration", _READ, "*"),
    Action("GetRepositoryPolicy", _READ, "repository"),
    Action("GetSigningConfiguration", _READ, "*"),
    Action("InitiateLayerUpload", _WRITE, "repository"),
    Action("ListImages", _LIST, "repository"),
    Action("ListPullTimeUpdateExclusions", _LIST, "*"),
    Action("ListTagsForResource", _READ, "repository"),
    Action("PutAccountSetting", _WRITE, "*"),
    Action("PutImage", _WRITE, "repository"),
    Action("PutImageScanningConfiguration", _WRITE, "repository"),
    Action("PutImageTagMutability", _WRITE, "repository"),
    Action("PutLifecyclePolicy", _WRITE, "repository"),
    Action("PutRegistryPolicy", _PERMISSIONS, "*"),
    Action("PutRegistryScanningConfiguration", _WRITE, "*"),
    Action("PutReplicationConfiguration", _WRITE, "*"),
    Action("PutSigningConfiguration", _WRITE, "*"),
    Action("RegisterPullTimeUpdateExclusion", _WRITE, "*"),
    Action("ReplicateImage", _WRITE, "repository", permission_only=True),
    Action("SetRepositoryPolicy", _PERMISSIONS, "repository"),
    Action("StartImageScan", _WRITE, "repository"),
    Action("StartLifecyclePolicyPreview", _WRITE, "repository"),
    Action("TagResource", _TAGGING, "repository"),
    Action("UntagResource", _TAGGING, "repository"),
    Action("UpdateImageStorageClass", _WRITE, "repository"),
    Action("UpdatePullThroughCacheRule", _WRITE, "*"),
    Action("UpdateRepositoryCreationTemplate", _WRITE, "*"),
    Action("UploadLayerPart", _WRITE, "repository"),
    Action("ValidatePullThroughCacheRule", _READ, "*"),
)

MOORAGE: Final = "moorage"
"""The service prefix of Moorage's own actions."""

_MOORAGE: Final[tuple[Action, ...]] = (
    Action("Apply", _WRITE, "*"),
    Action("CancelJob", _WRITE, "*"),
    Action("CreatePullToken", _WRITE, "*"),
    Action("DeleteOrganization", _PERMISSIONS, "*"),
    Action("Export", _READ, "*"),
    Action("GetJob", _READ, "*"),
    Action("GetOrganization", _READ, "*"),
    Action("ListJobs", _LIST, "*"),
    Action("ListPullTokens", _LIST, "*"),
    Action("Purge", _WRITE, "repository"),
    Action("PutOrganization", _PERMISSIONS, "*"),
    Action("ReadAccess", _READ, "repository"),
    Action("ReadAudit", _READ, "*"),
    Action("ReplayPolicy", _READ, "repository"),
    Action("Restore", _WRITE, "repository"),
    Action("RetryJob", _WRITE, "*"),
    Action("RevokePullToken", _WRITE, "*"),
)

ECR_ACTIONS: Final = {action.name: action for action in _ECR}
"""ECR's actions by name, without the `ecr:`."""
MOORAGE_ACTIONS: Final = {action.name: action for action in _MOORAGE}
"""Moorage's own actions by name, without the `moorage:`."""
ON_REPOSITORY: Final = (
    *(f"ecr:{action.name}" for action in _ECR if action.resource == "repository"),
    *(f"{MOORAGE}:{action.name}" for action in _MOORAGE if action.resource == "repository"),
)
"""Every action on a repository, of ECR and of Moorage, with its service prefix."""

AUTHORIZED_BY: Final[Mapping[str, str]] = {"ListImageReferrers": "BatchGetImage"}
"""Operations of ECR that have no action of their own, and the action that authorizes them.

From docs/development/policy-engine.md §4.1. A policy may name such an operation as if it were an action, which neither
allows nor denies anything.
"""

# What a client or an administrator needs for one purpose, with the service prefix.

SIGN_IN: Final = "ecr:GetAuthorizationToken"
PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""A pull needs all of these."""
UPLOAD: Final = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
"""The actions of a push that write."""
PUSH: Final = ("ecr:BatchCheckLayerAvailability", *UPLOAD)
"""A push needs all of these."""
DELETE: Final = ("ecr:BatchDeleteImage",)
"""Deleting images and layers needs all of these."""
ADMINISTER: Final = (
    "ecr:SetRepositoryPolicy",
    "ecr:DeleteRepositoryPolicy",
    "ecr:DeleteRepository",
    "ecr:PutImageTagMutability",
    "ecr:PutLifecyclePolicy",
    "ecr:TagResource",
    "ecr:UntagResource",
    "moorage:Purge",
    "moorage:Restore",
)
"""Each of these administers a repository."""
_LIST_IMAGES: Final = ("ecr:ListImageReferrers", "ecr:ListImages")
PULL_CLIENT: Final = tuple(
    sorted((*PULL, *_LIST_IMAGES, "ecr:BatchCheckLayerAvailability", "ecr:BatchImportUpstreamImage"))
)
"""Everything that clients which pull may ask for."""
PUSH_CLIENT: Final = tuple(sorted((*PULL, *PUSH, *_LIST_IMAGES)))
"""Everything that clients which push and pull may ask for."""
ANONYMOUS: Final = frozenset(
    {*PULL, "ecr:BatchCheckLayerAvailability", "ecr:ListImages", "ecr:DescribeRepositories", "ecr:UploadLayerPart"}
)
"""What GET and HEAD requests to /v2/ are decided on: requests without credentials reach nothing else."""
POLICY_RECOVERY: Final = frozenset(
    {
        "ecr:GetRepositoryPolicy",
        "ecr:SetRepositoryPolicy",
        "ecr:DeleteRepositoryPolicy",
        "ecr:GetRegistryPolicy",
        "ecr:PutRegistryPolicy",
        "ecr:DeleteRegistryPolicy",
    }
)
"""Reading and changing resource policies: what an account's root needs to undo a lock-out."""
BETWEEN_REGISTRIES: Final = frozenset({"ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"})
"""What a registry policy of scope V1 can grant: replication and pull through caches."""

_ECR_BY_LOWER_NAME: Final = {action.name.lower(): action for action in _ECR}
_MOORAGE_BY_LOWER_NAME: Final = {name.lower(): name for name in MOORAGE_ACTIONS}
_OPERATIONS_BY_LOWER_NAME: Final = {name.lower(): name for name in AUTHORIZED_BY}


def ecr_action(name: str) -> Action | None:
    """Return ECR's action of that name (without `ecr:`, in any case); None if there is none."""
    return _ECR_BY_LOWER_NAME.get(name.lower())


def moorage_action(name: str) -> str | None:
    """Return the name as Moorage spells it (without `moorage:`, in any case); None if it has no such action."""
    return _MOORAGE_BY_LOWER_NAME.get(name.lower())


def authorizing_action(operation: str) -> str:
    """Return the action, with its service prefix, that authorizes an operation of ECR."""
    return f"ecr:{AUTHORIZED_BY.get(operation, operation)}"


def operation_without_action(name: str) -> str | None:
    """Return the name as ECR spells it (`name`: in any case) if that is an operation without an action of its own."""
    return _OPERATIONS_BY_LOWER_NAME.get(name.lower())


def is_on_repository(name: str) -> bool:
    """Return whether Moorage has an action of that name (without `moorage:`, in any case) on repositories."""
    known = moorage_action(name)
    return known is not None and MOORAGE_ACTIONS[known].resource == "repository"


def may_stand_in_repository_policy(name: str) -> bool:
    """Return whether a repository policy may name this action of ECR literally.

    docs/development/policy-engine.md §1.2, §4.1.
    """
    action = ecr_action(name)
    if action is None:
        return name.lower() in _OPERATIONS_BY_LOWER_NAME
    return action.resource == "repository"


def may_stand_in_registry_policy(name: str) -> bool:
    """Return whether a registry policy of scope V2 may name this action of ECR literally."""
    return ecr_action(name) is not None or name.lower() in _OPERATIONS_BY_LOWER_NAME
