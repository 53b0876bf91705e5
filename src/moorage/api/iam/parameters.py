"""Rules for the parameters of IAM's operations that its service model does not state."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from moorage.api.aws import query
from moorage.api.iam import shapes
from moorage.errors import QueryError

_POLICY_ARN: Final = re.compile(r"arn:[^:]+:iam::(?:[0-9]{12}|aws):policy/.+", re.DOTALL)
_LONGEST_VERSION_ID: Final = 32
"""Characters. The service model states no limit, but `int` accepts at most 4,300 digits."""
_SETTABLE_STATUSES: Final = ("Active", "Inactive")


def managed_policy_arn(arn: str) -> str:
    """Return `arn`. Raises ValidationError unless it has the form of a managed policy's ARN."""
    if _POLICY_ARN.fullmatch(arn) is None:
        raise QueryError("ValidationError", "Invalid ARN:  Could not be parsed!")  # the two spaces are AWS's
    return arn


def version_number(version_id: str) -> int:
    """Return the number of a policy version: 3 for `v3`. Raises ValidationError for an id that is too long."""
    if len(version_id) > _LONGEST_VERSION_ID:
        raise query.invalid(
            "VersionId", version_id, f"Member must have length less than or equal to {_LONGEST_VERSION_ID}"
        )
    return int(version_id.removeprefix("v").partition(".")[0])


def is_active(status: str) -> bool:
    """Return whether an access key shall be active. `Expired`, which the model also lists, cannot be set [guess]."""
    if status not in _SETTABLE_STATUSES:
        raise query.invalid("Status", status, f"Member must satisfy enum value set: [{', '.join(_SETTABLE_STATUSES)}]")
    return status == "Active"


def tags_by_key(tags: Sequence[shapes.Tag] | None) -> dict[str, str]:
    """Return the tags of a request by key.

    Raises InvalidInput for a key that starts with `aws:`, and for one that occurs twice, in whatever case.
    """
    found: dict[str, str] = {}
    folded: set[str] = set()
    for tag in tags or ():
        lowered = tag.key.lower()
        if lowered.startswith("aws:"):
            raise QueryError("InvalidInput", "Tag keys starting with 'aws:' are reserved for system use.")
        if lowered in folded:
            raise QueryError(
                "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            )
        folded.add(lowered)
        found[tag.key] = tag.value
    return found


def tag_list(tags: Mapping[str, str]) -> list[shapes.Tag]:
    """Return tags as responses have them."""
    return [shapes.Tag(key=key, value=value) for key, value in tags.items()]
