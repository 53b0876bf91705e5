"""Lists in pages: MaxItems and Marker in, IsTruncated and Marker out."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from moorage.api.aws.query import Parameters, Value, invalid
from moorage.api.iam import fields

T = TypeVar("T")

_DEFAULT: Final = 100
_MOST: Final = 1000


def limit(request: Parameters) -> int:
    """How many items a page may have: MaxItems, 1 to 1000, else 100."""
    given = request.integer("MaxItems")
    if given is None:
        return _DEFAULT
    if given < 1:
        raise invalid("MaxItems", str(given), "Member must have value greater than or equal to 1")
    if given > _MOST:
        raise invalid("MaxItems", str(given), f"Member must have value less than or equal to {_MOST}")
    return given


def after(request: Parameters) -> str:
    """The name that the page before ended with; empty for the first page. ValidationError for a forged Marker."""
    marker = request.get("Marker")
    if marker is None:
        return ""
    try:
        name = base64.b64decode(marker.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        name = ""
    if fields.NAME.fullmatch(name) is None:
        raise invalid("Marker", marker, "Member must be a marker of an earlier answer")
    return name


def page(
    member: str, found: Sequence[T], most: int, name: Callable[[T], str], shown: Callable[[T], Value]
) -> dict[str, Value]:
    """The answer for `found`, which holds one item more than `most` when there is a further page."""
    items = found[:most]
    answer: dict[str, Value] = {member: [shown(item) for item in items], "IsTruncated": len(found) > most}
    if len(found) > most:
        answer["Marker"] = base64.urlsafe_b64encode(name(items[-1]).encode()).decode()
    return answer
