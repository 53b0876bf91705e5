"""The actions of ECR and of Moorage: level and resource type.

ECR's come from the Service Authorization Reference. Its three permission-only actions have no API operation.
`ListImageReferrers` is an operation without an action: `ecr:BatchGetImage` decides it.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Level = Literal["Read", "List", "Write", "Permissions management", "Tagging"]
ResourceType = Literal["repository", "*"]


class EcrAction(NamedTuple):
    """One row of the table."""

    name: str
    level: Level
    resource: ResourceType
    """`*`: an action on the registry, which no repository policy can grant."""
    permission_only: bool = False


_READ: Final[Level] = "Read"
_LIST: Final[Level] = "List"
_WRITE: Final[Level] = "Write"
_PERMISSIONS: Final[Level] = "Permissions management"
_TAGGING: Final[Level] = "Tagging"

_TABLE: Final[tuple[EcrAction, ...]] = (
    EcrAction("BatchCheckLayerAvailability", _READ, "repository"),
    EcrAction("BatchDeleteImage", _WRITE, "repository"),
    EcrAction("BatchGetImage", _READ, "repository"),
    EcrAction("BatchGetRepositoryScanningConfiguration", _READ, "repository"),
    EcrAction("BatchImportUpstreamImage", _WRITE, "repository", permission_only=True),
    EcrAction("CompleteLayerUpload", _WRITE, "repository"),
    EcrAction("CreatePullThroughCacheRule", _WRITE, "*"),
    EcrAction("CreateRepository", _WRITE, "repository"),
    EcrAction("CreateRepositoryCreationTemplate", _WRITE, "*"),
    EcrAction("DeleteLifecyclePolicy", _WRITE, "repository"),
    EcrAction("DeletePullThroughCacheRule", _WRITE, "*"),
    EcrAction("DeleteRegistryPolicy", _PERMISSIONS, "*"),
    EcrAction("DeleteRepository", _WRITE, "repository"),
    EcrAction("DeleteRepositoryCreationTemplate", _WRITE, "*"),
    EcrAction("DeleteRepositoryPolicy", _PERMISSIONS, "repository"),
    EcrAction("DeleteSigningConfiguration", _WRITE, "*"),
    EcrAction("DeregisterPullTimeUpdateExclusion", _WRITE, "*"),
    EcrAction("DescribeImageReplicationStatus", _READ, "repository"),
    EcrAction("DescribeImages", _LIST, "repository"),
    EcrAction("DescribeImageScanFindings", _READ, "repository"),
    EcrAction("DescribeImageSigningStatus", _READ, "repository"),
    EcrAction("DescribePullThroughCacheRules", _LIST, "*"),
    EcrAction("DescribeRegistry", _READ, "*"),
    EcrAction("DescribeRepositories", _READ, "repository"),
    EcrAction("DescribeRepositoryCreationTemplates", _READ, "*"),
    EcrAction("GetAccountSetting", _READ, "*"),
    EcrAction("GetAuthorizationToken", _READ, "*"),
    EcrAction("GetDownloadUrlForLayer", _READ, "repository"),
    EcrAction("GetImageCopyStatus", _READ, "repository", permission_only=True),
    EcrAction("GetLifecyclePolicy", _READ, "repository"),
    EcrAction("GetLifecyclePolicyPreview", _READ, "repository"),
    EcrAction("GetRegistryPolicy", _READ, "*"),
    EcrAction("GetRegistryScanningConfiguration", _READ, "*"),
    EcrAction("GetRepositoryPolicy", _READ, "repository"),
    EcrAction("GetSigningConfiguration", _READ, "*"),
    EcrAction("InitiateLayerUpload", _WRITE, "repository"),
    EcrAction("ListImages", _LIST, "repository"),
    EcrAction("ListPullTimeUpdateExclusions", _LIST, "*"),
    EcrAction("ListTagsForResource", _READ, "repository"),
    EcrAction("PutAccountSetting", _WRITE, "*"),
    EcrAction("PutImage", _WRITE, "repository"),
    EcrAction("PutImageScanningConfiguration", _WRITE, "repository"),
    EcrAction("PutImageTagMutability", _WRITE, "repository"),
    EcrAction("PutLifecyclePolicy", _WRITE, "repository"),
    EcrAction("PutRegistryPolicy", _PERMISSIONS, "*"),
    EcrAction("PutRegistryScanningConfiguration", _WRITE, "*"),
    EcrAction("PutReplicationConfiguration", _WRITE, "*"),
    EcrAction("PutSigningConfiguration", _WRITE, "*"),
    EcrAction("RegisterPullTimeUpdateExclusion", _WRITE, "*"),
    EcrAction("ReplicateImage", _WRITE, "repository", permission_only=True),
    EcrAction("SetRepositoryPolicy", _PERMISSIONS, "repository"),
    EcrAction("StartImageScan", _WRITE, "repository"),
    EcrAction("StartLifecyclePolicyPreview", _WRITE, "repository"),
    EcrAction("TagResource", _TAGGING, "repository"),
    EcrAction("UntagResource", _TAGGING, "repository"),
    EcrAction("UpdateImageStorageClass", _WRITE, "repository"),
    EcrAction("UpdatePullThroughCacheRule", _WRITE, "*"),
    EcrAction("UpdateRepositoryCreationTemplate", _WRITE, "*"),
    EcrAction("UploadLayerPart", _WRITE, "repository"),
    EcrAction("ValidatePullThroughCacheRule", _READ, "*"),
)

ECR_ACTIONS: Final = {action.name: action for action in _TABLE}
"""Every action by its name without the `ecr:`."""

_BY_LOWER_NAME: Final = {action.name.lower(): action for action in _TABLE}
_TAKEN_THOUGH_UNKNOWN: Final = frozenset({"listimagereferrers"})


def ecr_action(name: str) -> EcrAction | None:
    """The action of that name (without `ecr:`, any case), if ECR has it."""
    return _BY_LOWER_NAME.get(name.lower())


MOORAGE: Final = "moorage"
"""The service prefix of Moorage's own actions."""
MOORAGE_ACTIONS: Final[Mapping[str, ResourceType]] = {
    "Apply": "*",
    "CreatePullToken": "*",
    "DeleteOrganization": "*",
    "Export": "*",
    "GetOrganization": "*",
    "ListPullTokens": "*",
    "Purge": "repository",
    "PutOrganization": "*",
    "ReadAccess": "repository",
    "ReadAudit": "*",
    "ReplayPolicy": "repository",
    "Restore": "repository",
    "RevokePullToken": "*",
}
"""Moorage's own actions by name, without the `moorage:`. `*`: not on a repository, so no resource policy grants it."""

_MOORAGE_BY_LOWER_NAME: Final = {name.lower(): name for name in MOORAGE_ACTIONS}


def moorage_action(name: str) -> str | None:
    """Return the action's name as it is spelled; `name` comes without the `moorage:`, in any case."""
    return _MOORAGE_BY_LOWER_NAME.get(name.lower())


def is_on_repository(name: str) -> bool:
    """Return whether Moorage has an action of that name (without `moorage:`, in any case) on repositories."""
    known = moorage_action(name)
    return known is not None and MOORAGE_ACTIONS[known] == "repository"


ON_REPOSITORY: Final = (
    *(f"ecr:{action.name}" for action in _TABLE if action.resource == "repository"),
    *(f"{MOORAGE}:{name}" for name, resource in MOORAGE_ACTIONS.items() if resource == "repository"),
)
"""Every action on a repository, of ECR and of Moorage, with its service."""


def may_stand_in_repository_policy(name: str) -> bool:
    """Whether a repository policy may name this action literally (docs/development/policy-engine.md §1.2, §4.1)."""
    action = ecr_action(name)
    if action is None:
        return name.lower() in _TAKEN_THOUGH_UNKNOWN
    return action.resource == "repository"


def may_stand_in_registry_policy(name: str) -> bool:
    """Whether a registry policy of scope V2 may name this action literally: any action of ECR."""
    return ecr_action(name) is not None or name.lower() in _TAKEN_THOUGH_UNKNOWN
