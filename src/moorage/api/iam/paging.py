"""Lists in pages: MaxItems and Marker of requests, IsTruncated and Marker of responses."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from moorage.api.aws import query, xml
from moorage.pages import Room

T = TypeVar("T")
S = TypeVar("S")

_DEFAULT: Final = 100
_MARKER: Final = 4096


class AsksForPage(Protocol):
    @property
    def max_items(self) -> int | None: ...

    @property
    def marker(self) -> str | None: ...


class Limits(NamedTuple):
    """The page that a request asks for."""

    most: int
    """How many items it may have, 1 to 1000."""
    after: str
    """The position where it begins; empty for the first page."""


def limits(request: AsksForPage) -> Limits:
    """Return the page that a request asks for. Raises ValidationError for a forged Marker.

    Call it before anything is looked up: AWS validates a request first.
    """
    return Limits(request.max_items or _DEFAULT, _position(request.marker))


def _position(marker: str | None) -> str:
    if marker is None:
        return ""
    try:
        if len(marker) > _MARKER:
            raise ValueError(marker)
        position = base64.b64decode(marker.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        position = ""
    if not position or not position.isprintable():
        raise query.invalid("Marker", marker, "Member must be a marker of an earlier answer")
    return position


class PageRoom:
    """Counts what fits in a page of one list or several: `most` items and `pages.PAGE_BYTES` bytes of XML in all.

    Offer one item after the other, at least one more than there may be, until one is not taken.
    """

    def __init__(self, most: int) -> None:
        self._room = Room(most)
        self._position = ""
        self._is_full = False

    def takes(self, item: Any, position: str) -> bool:
        """Return whether the item belongs to this page. If it does not, it begins the next: offer no more.

        `position`: where the page begins that follows the item.
        """
        if self._is_full or not self._room.takes(len(xml.content(item).encode())):
            self._is_full = True
            return False
        self._position = position
        return True

    def marker(self, *, more: bool = False) -> str | None:
        """Return the Marker of the next page; None if this is the last. `more`: there are items not offered."""
        return _marker(self._position) if self._is_full or more else None


class Page(NamedTuple, Generic[T]):
    """One page of a list, as members of a response."""

    items: list[T]
    is_truncated: bool
    marker: str | None


def page(found: Iterable[S], most: int, position: Callable[[S], str], shape: Callable[[S], T]) -> Page[T]:
    """Return the page of `found`, which has at least one item more than `most` if there is a further page.

    `position`: where an item is in the order of the list. `shape`: the item as responses have it.
    """
    room, items = PageRoom(most), []
    for each in found:
        item = shape(each)
        if not room.takes(item, position(each)):
            break
        items.append(item)
    marker = room.marker()
    return Page(items, marker is not None, marker)


def page_of(asked: Limits, every: Sequence[S], position: Callable[[S], str], shape: Callable[[S], T]) -> Page[T]:
    """Return the page that is asked for of a list that is all at hand, in the order of `position`."""
    return page([item for item in every if position(item) > asked.after], asked.most, position, shape)


def _marker(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()
