"""Every operation of ECR that is built, with its action and the resource that the action is decided on.

The action of an operation is the one that the catalog names for it (`policy.catalog.actions.authorizing_action`).
"""

from typing import Final

from moorage.api.aws.operation import Operation, Service
from moorage.api.ecr import (
    authorization,
    image_lists,
    images,
    layers,
    registry,
    registry_policy,
    repositories,
    repository_policy,
    shapes,
    tags,
    uploads,
)
from moorage.api.ecr.service import EcrServices, no_resource, the_arn, the_repository
from moorage.api.ecr.wording import wording

OPERATIONS: Final = (
    Operation(
        "BatchCheckLayerAvailability",
        layers.batch_check_layer_availability,
        "ecr:BatchCheckLayerAvailability",
        the_repository,
    ),
    Operation("BatchDeleteImage", images.batch_delete_image, "ecr:BatchDeleteImage", the_repository),
    Operation("BatchGetImage", images.batch_get_image, "ecr:BatchGetImage", the_repository),
    Operation("CompleteLayerUpload", uploads.complete_layer_upload, "ecr:CompleteLayerUpload", the_repository),
    Operation(
        "CreateRepository",
        repositories.create_repository,
        "ecr:CreateRepository",
        the_repository,
        conditions=repositories.created_tags,
    ),
    Operation("DeleteRegistryPolicy", registry_policy.delete_registry_policy, "ecr:DeleteRegistryPolicy", no_resource),
    Operation("DeleteRepository", repositories.delete_repository, "ecr:DeleteRepository", the_repository),
    Operation(
        "DeleteRepositoryPolicy",
        repository_policy.delete_repository_policy,
        "ecr:DeleteRepositoryPolicy",
        the_repository,
    ),
    Operation("DescribeImages", image_lists.describe_images, "ecr:DescribeImages", the_repository),
    Operation("DescribeRegistry", registry.describe_registry, "ecr:DescribeRegistry", no_resource),
    Operation(
        "DescribeRepositories",
        repositories.describe_repositories,
        "ecr:DescribeRepositories",
        repositories.described_repositories,
    ),
    Operation(
        "GetAccountSetting",
        registry.get_account_setting,
        "ecr:GetAccountSetting",
        no_resource,
        conditions=registry.named_setting,
    ),
    Operation("GetAuthorizationToken", authorization.get_authorization_token, "ecr:GetAuthorizationToken", no_resource),
    Operation(
        "GetDownloadUrlForLayer", layers.get_download_url_for_layer, "ecr:GetDownloadUrlForLayer", the_repository
    ),
    Operation("GetRegistryPolicy", registry_policy.get_registry_policy, "ecr:GetRegistryPolicy", no_resource),
    Operation(
        "GetRepositoryPolicy", repository_policy.get_repository_policy, "ecr:GetRepositoryPolicy", the_repository
    ),
    Operation("InitiateLayerUpload", uploads.initiate_layer_upload, "ecr:InitiateLayerUpload", the_repository),
    Operation("ListImages", image_lists.list_images, "ecr:ListImages", the_repository),
    Operation("ListTagsForResource", tags.list_tags_for_resource, "ecr:ListTagsForResource", the_arn),
    Operation(
        "PutAccountSetting",
        registry.put_account_setting,
        "ecr:PutAccountSetting",
        no_resource,
        conditions=registry.named_setting,
    ),
    Operation("PutImage", images.put_image, "ecr:PutImage", the_repository, body_limit=images.IMAGE_BODY_LIMIT),
    Operation(
        "PutImageScanningConfiguration",
        repositories.put_image_scanning_configuration,
        "ecr:PutImageScanningConfiguration",
        the_repository,
    ),
    Operation(
        "PutImageTagMutability", repositories.put_image_tag_mutability, "ecr:PutImageTagMutability", the_repository
    ),
    Operation("PutRegistryPolicy", registry_policy.put_registry_policy, "ecr:PutRegistryPolicy", no_resource),
    Operation(
        "SetRepositoryPolicy", repository_policy.set_repository_policy, "ecr:SetRepositoryPolicy", the_repository
    ),
    Operation("TagResource", tags.tag_resource, "ecr:TagResource", the_arn, conditions=tags.given_tags),
    Operation("UntagResource", tags.untag_resource, "ecr:UntagResource", the_arn, conditions=tags.removed_keys),
    Operation(
        "UploadLayerPart",
        uploads.upload_layer_part,
        "ecr:UploadLayerPart",
        the_repository,
        body_limit=uploads.PART_BODY_LIMIT,
    ),
)

NOT_BUILT: Final = frozenset(
    {
        "BatchGetRepositoryScanningConfiguration",
        "CreatePullThroughCacheRule",
        "CreateRepositoryCreationTemplate",
        "DeleteLifecyclePolicy",
        "DeletePullThroughCacheRule",
        "DeleteRepositoryCreationTemplate",
        "DeleteSigningConfiguration",
        "DeregisterPullTimeUpdateExclusion",
        "DescribeImageReplicationStatus",
        "DescribeImageScanFindings",
        "DescribeImageSigningStatus",
        "DescribePullThroughCacheRules",
        "DescribeRepositoryCreationTemplates",
        "DescribeReplicationBackfillResults",
        "GetLifecyclePolicy",
        "GetLifecyclePolicyPreview",
        "GetRegistryScanningConfiguration",
        "GetSigningConfiguration",
        "ListImageReferrers",
        "ListPullTimeUpdateExclusions",
        "ListReplicationBackfills",
        "PutLifecyclePolicy",
        "PutRegistryScanningConfiguration",
        "PutReplicationConfiguration",
        "PutSigningConfiguration",
        "RegisterPullTimeUpdateExclusion",
        "StartImageScan",
        "StartLifecyclePolicyPreview",
        "StartReplicationBackfill",
        "StopReplicationBackfill",
        "UpdateImageStorageClass",
        "UpdatePullThroughCacheRule",
        "UpdateRepositoryCreationTemplate",
        "ValidatePullThroughCacheRule",
    }
)
"""Operations of the model that return UnknownOperationException until they are implemented. The list may only shrink.
"""

ECR: Final[Service[EcrServices]] = Service(
    "ecr",
    "json",
    "AmazonEC2ContainerRegistry_V20150921",
    OPERATIONS,
    shapes.OPERATIONS,
    joins_violations=frozenset(
        name for name, declared in shapes.OPERATIONS.items() if "ValidationException" in declared.errors
    ),
    wording=wording,
)
