"""The managed policies of AWS that concern a registry, ready to attach under `arn:aws:iam::aws:policy/…`.

docs/development/policy-engine.md §4.3 lists what they allow. When AWS changes one, add a version and keep the earlier
ones, so that the policies of recorded decisions can always be read.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from moorage.identity.arns import policy_arn

_OWNER: Final = "aws"

_READ: Final = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:DescribeRepositories",
    "ecr:ListImages",
    "ecr:DescribeImages",
    "ecr:BatchGetImage",
    "ecr:GetLifecyclePolicy",
    "ecr:GetLifecyclePolicyPreview",
    "ecr:ListTagsForResource",
    "ecr:DescribeImageScanFindings",
)
_WRITE: Final = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
_PULL: Final = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchImportUpstreamImage",
)


class Version(NamedTuple):
    """A version of a policy."""

    number: int
    text: str
    hash: str
    """SHA-256 of the text, hex: what decisions are recorded with."""
    created_at: float


class AwsManaged(msgspec.Struct, frozen=True):
    """One of AWS's managed policies."""

    id: str
    """`ANPA…`, as AWS has it; where that is not known, one of the same form [guess]."""
    name: str
    description: str
    created_at: float
    versions: tuple[Version, ...]
    """The last one is the default."""

    @property
    def arn(self) -> str:
        return policy_arn(_OWNER, "/", self.name)

    @property
    def default(self) -> Version:
        return self.versions[-1]


def _policy(
    policy_id: str, name: str, description: str, created: str, version: int, changed: str, *statements: object
) -> AwsManaged:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()
    one = Version(version, text, digest, _at(changed))
    return AwsManaged(policy_id, name, description, _at(created), (one,))


def _at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def _allow(*actions: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


# Ids and days as AWS shows them [recall].
_ALL: Final = (
    _policy(
        "ANPAIWMBCKSKIEE64ZLYK",
        "AdministratorAccess",
        "Provides full access to AWS services and resources.",
        "2015-02-06",
        1,
        "2015-02-06",
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ),
    _policy(
        "ANPAIESRL7KD7IIVF6V4W",
        "AmazonEC2ContainerRegistryFullAccess",
        "Provides administrative access to Amazon ECR resources",
        "2015-12-21",
        3,
        "2020-11-10",
        _allow("ecr:*", "cloudtrail:LookupEvents"),
        {
            "Effect": "Allow",
            "Action": ["iam:CreateServiceLinkedRole"],
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:AWSServiceName": ["replication.ecr.amazonaws.com"]}},
        },
    ),
    _policy(
        "ANPAJDNE5PIHROIBGGDDW",
        "AmazonEC2ContainerRegistryPowerUser",
        "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or"
        " policy changes.",
        "2015-12-21",
        3,
        "2019-12-10",
        _allow(*_READ, *_WRITE),
    ),
    _policy(
        "ANPAMOORAGEPULLONLYAA",
        "AmazonEC2ContainerRegistryPullOnly",
        "Provides permissions to pull images from Amazon ECR.",
        "2024-10-11",
        1,
        "2024-10-11",
        _allow(*_PULL),
    ),
    _policy(
        "ANPAIFYZPA37OOHVIH7KQ",
        "AmazonEC2ContainerRegistryReadOnly",
        "Provides read-only access to Amazon EC2 Container Registry repositories.",
        "2015-12-21",
        3,
        "2019-12-10",
        _allow(*_READ),
    ),
)

BY_ARN: Final = {policy.arn: policy for policy in _ALL}
BY_ID: Final = {policy.id: policy for policy in _ALL}
ADMINISTRATOR: Final = _ALL[0]
_TEXTS: Final = {version.hash: version.text for policy in _ALL for version in policy.versions}


def document(name: str) -> str | None:
    """The text of the version with that hash, when it is of one of AWS's policies."""
    return _TEXTS.get(name)
