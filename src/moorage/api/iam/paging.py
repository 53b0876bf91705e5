"""Lists in pages: MaxItems and Marker in, IsTruncated and Marker out."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from moorage.api.aws.query import Parameters, Value, invalid
from moorage.api.iam import fields

T = TypeVar("T")

_DEFAULT: Final = 100
_MOST: Final = 1000
_MARKER: Final = 4096


def limit(request: Parameters) -> int:
    """How many items a page may have: MaxItems, 1 to 1000, else 100."""
    return fields.integer(request, "MaxItems", 1, _MOST) or _DEFAULT


def after(request: Parameters) -> str:
    """What the page before ended with; empty for the first page. ValidationError for a forged Marker."""
    marker = request.get("Marker")
    if marker is None:
        return ""
    try:
        if len(marker) > _MARKER:
            raise ValueError(marker)
        position = base64.b64decode(marker.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        position = ""
    if not position or not position.isprintable():
        raise invalid("Marker", marker[:_MARKER], "Member must be a marker of an earlier answer")
    return position


def page(
    member: str, found: Sequence[T], most: int, name: Callable[[T], str], shown: Callable[[T], Value]
) -> dict[str, Value]:
    """The answer for `found`, which holds one item more than `most` when there is a further page."""
    items = found[:most]
    answer: dict[str, Value] = {member: [shown(item) for item in items], "IsTruncated": len(found) > most}
    if len(found) > most:
        answer["Marker"] = marker(name(items[-1]))
    return answer


class Asked(NamedTuple):
    """The page that a request asks for. Read it before anything is looked up: its fields may be wrong."""

    most: int
    after: str

    @classmethod
    def by(cls, request: Parameters) -> "Asked":
        return cls(limit(request), after(request))

    def of(
        self, member: str, every: Sequence[T], name: Callable[[T], str], shown: Callable[[T], Value]
    ) -> dict[str, Value]:
        """That page of a list that is all at hand, in the order of `name`."""
        return page(member, [item for item in every if name(item) > self.after], self.most, name, shown)


def marker(position: str) -> str:
    """The Marker that says: on from here."""
    return base64.urlsafe_b64encode(position.encode()).decode()
