"""The ARNs in requests, and the repositories that they name."""

import re
from typing import Final

from moorage.api.tagging.service import TaggingCall
from moorage.errors import InvalidParameter
from moorage.names import InvalidNameError, RepositoryRef, parse_repository_arn

_ARN: Final = re.compile(r"arn:[^:\s]+:[^:\s]+:[^:\s]*:[^:\s]*:\S+")


def checked(arn: str) -> str:
    """Return `arn`. Raises InvalidParameter if it is not an ARN of any service."""
    if _ARN.fullmatch(arn) is None:
        raise InvalidParameter(f"{arn} is not a valid AmazonResourceName (ARN)")
    return arn


def service_of(arn: str) -> str:
    """Return the service in an ARN that `checked` has returned."""
    return arn.split(":", 3)[2]


def repository_of(call: TaggingCall, arn: str) -> RepositoryRef | None:
    """Return the repository that the ARN names; None unless it can be one of the caller's account and region."""
    try:
        ref = parse_repository_arn(arn)
    except InvalidNameError:
        return None
    return ref if (ref.account, ref.region) == (call.account, call.region) else None
