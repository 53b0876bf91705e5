"""Lists in pages: MaxItems and Marker in, IsTruncated and Marker out."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from moorage.api.aws.query import Markup, Parameters, Value, invalid
from moorage.api.iam import fields
from moorage.pages import Room

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
        raise invalid("Marker", marker, "Member must be a marker of an earlier answer")
    return position


class Page:
    """An answer with one list or several, at most `most` items and `pages.PAGE_BYTES` bytes of XML in all of them.

    Offer one item after the other, at least one more than there may be, until one is not taken.
    """

    def __init__(self, most: int, *members: str) -> None:
        self._lists: dict[str, list[Value]] = {member: [] for member in members}
        self._room = Room(most)
        self._position = ""
        self._truncated = False

    def takes(self, member: str, item: Value, position: str) -> bool:
        """Add an item to the list `member`. False if it belongs to the next page; then offer no more.

        `position`: what `after` gives for the page that begins behind the item.
        """
        written = Markup.of(item)
        if self._truncated or not self._room.takes(len(written.encode())):
            self._truncated = True
            return False
        self._lists[member].append(written)
        self._position = position
        return True

    def answer(self, *, more: bool = False) -> dict[str, Value]:
        """The answer; `more`: there are items that were not offered."""
        truncated = self._truncated or more
        answer: dict[str, Value] = {**self._lists, "IsTruncated": truncated}
        if truncated:
            answer["Marker"] = marker(self._position)
        return answer


def page(
    member: str, found: Iterable[T], most: int, name: Callable[[T], str], shown: Callable[[T], Value]
) -> dict[str, Value]:
    """The answer for `found`, which holds one item more than `most` when there is a further page."""
    made = Page(most, member)
    for each in found:
        if not made.takes(member, shown(each), name(each)):
            break
    return made.answer()


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
