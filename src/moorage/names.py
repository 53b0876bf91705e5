"""Names: account, region, repository name, tag, digest, ARN. They are parsed once at the edge, and typed everywhere
else."""

import re
from functools import lru_cache
from typing import NamedTuple, NewType

AccountId = NewType("AccountId", str)
Region = NewType("Region", str)
RepositoryName = NewType("RepositoryName", str)
Tag = NewType("Tag", str)
Digest = NewType("Digest", str)

REPOSITORY_NAME_PATTERN = (
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"  # from the service model
)
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)*-[0-9]{1,2}")
_NAME = re.compile(REPOSITORY_NAME_PATTERN)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,299}")
_DIGEST = re.compile(r"(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")
_ARN = re.compile(r"arn:(aws[a-z-]*):ecr:([^:]*):([0-9]{12}):repository/(.+)")


class InvalidNameError(ValueError):
    """A text that is not a valid name of its kind. The message says what is wrong, without advice."""


class RepositoryRef(NamedTuple):
    """Where a repository is: its registry (account and region) and its name."""

    account: AccountId
    region: Region
    name: RepositoryName

    @property
    def arn(self) -> str:
        return repository_arn(self.account, self.region, self.name)


def account_id(text: str) -> AccountId:
    """Return the 12-digit account id `text`. Raise InvalidNameError."""
    if _ACCOUNT.fullmatch(text) is None:
        raise InvalidNameError(f"not an account id of 12 digits: {text!r}")
    return AccountId(text)


def region(text: str) -> Region:
    """Return the region name `text` (`us-east-1`). Raise InvalidNameError."""
    if len(text) > 25 or _REGION.fullmatch(text) is None:
        raise InvalidNameError(f"not a region name: {text!r}")
    return Region(text)


def repository_name(text: str) -> RepositoryName:
    """Return the repository name `text` (ECR's pattern, 2 to 256 characters). Raise InvalidNameError.

    The pattern cannot match `..`, an empty segment or an absolute path.
    """
    if not 2 <= len(text) <= 256 or _NAME.fullmatch(text) is None:
        raise InvalidNameError(f"not a repository name: {text!r}")
    return RepositoryName(text)


def tag(text: str) -> Tag:
    """Return the image tag `text`. Raise InvalidNameError."""
    if _TAG.fullmatch(text) is None:
        raise InvalidNameError(f"not a tag: {text!r}")
    return Tag(text)


def digest(text: str) -> Digest:
    """Return the digest `text`: `sha256:` and 64 or `sha512:` and 128 lower-case hex digits. Raise InvalidNameError."""
    if _DIGEST.fullmatch(text) is None:
        raise InvalidNameError(f"not a sha256 or sha512 digest: {text!r}")
    return Digest(text)


def digest_algorithm(value: Digest) -> str:
    """Return `sha256` or `sha512`."""
    return value.partition(":")[0]


def partition(of: Region) -> str:
    """Return the ARN partition of a region: `aws`, `aws-cn` or `aws-us-gov`."""
    if of.startswith("cn-"):
        return "aws-cn"
    if of.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"


@lru_cache(maxsize=4096)
def repository_arn(account: str, in_region: str, name: str) -> str:
    """Return `arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME`; `name` may be `*` for all repositories."""
    return f"arn:{partition(Region(in_region))}:ecr:{in_region}:{account}:repository/{name}"


def parse_repository_arn(text: str) -> RepositoryRef:
    """Return the repository that an ARN names. Raise InvalidNameError."""
    match = _ARN.fullmatch(text)
    if match is None:
        raise InvalidNameError(f"not the ARN of a repository: {text!r}")
    ref = RepositoryRef(account_id(match[3]), region(match[2]), repository_name(match[4]))
    if ref.arn != text:
        raise InvalidNameError(f"not the ARN of a repository: {text!r}")
    return ref
