"""Export of an account as a declarative file, in pages: `moorage export` writes it, `moorage apply` reads it."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from moorage.declarative import writer
from moorage.declarative.declaration import SECTIONS
from moorage.declarative.state import CurrentState, Entry, Position
from moorage.errors import InvalidParameter
from moorage.names import AccountId
from moorage.pages import Room

_ENTRIES: Final = 200
"""Entries of one page. Writing YAML is slow."""
_AT_A_TIME: Final = 20
"""Entries that are written together, in a thread."""
_ORGANIZATION: Final = "organization"


class Page(NamedTuple):
    """Lines of the file."""

    text: str
    following: str | None
    """Where the next page begins; None: this is the last page."""


class Exporter:
    """Writes accounts and the organization."""

    def __init__(self, state: CurrentState) -> None:
        self._state = state

    async def page(self, account: AccountId, after: str | None = None, *, organization: bool) -> Page:
        """Return the lines after `after`: those of the account and, if requested, of the organization.

        They belong below the line `accounts:`. InvalidParameter if `after` is not a position.
        """
        start = None if after is None else _read(after)
        room, texts = Room(_ENTRIES), list[str]()
        at, path = start, _path(account, start)
        waiting: list[Entry] = []

        async def written() -> bool:
            """Write the waiting entries. Return False if the page had no room for all of them."""
            nonlocal at, path
            for entry, text in zip(waiting, await asyncio.to_thread(_written, account, path, waiting), strict=True):
                if not room.takes(len(msgspec.json.encode(text))):
                    return False
                texts.append(text)
                at, path = entry.position, _path(account, entry.position)
            waiting.clear()
            return True

        if start is None or start.section != _ORGANIZATION:
            async for entry in self._state.entries(account, start):
                waiting.append(entry)
                if len(waiting) == _AT_A_TIME and not await written():
                    return Page("".join(texts), _text(at))
            if not await written():
                return Page("".join(texts), _text(at))
            if at is None:
                texts.append(writer.part((writer.ACCOUNTS, account), {}, (writer.ACCOUNTS,)))
        text = await self.organization() if organization else ""
        if not room.takes(len(msgspec.json.encode(text))):
            return Page("".join(texts), _text(Position(_ORGANIZATION)))
        return Page("".join([*texts, text]), None)

    async def organization(self) -> str:
        """Return the lines about the organization; empty if there is none."""
        one = await self._state.organization()
        if one is None:
            return ""
        return await asyncio.to_thread(lambda: writer.part((_ORGANIZATION,), writer.organization(one)))


def _written(account: AccountId, before: Sequence[str], entries: Sequence[Entry]) -> list[str]:
    texts = []
    for entry in entries:
        text, before = writer.entry(account, entry.position.section, entry.key, entry.value, before)
        texts.append(text)
    return texts


def _path(account: AccountId, position: Position | None) -> tuple[str, ...]:
    """Return the keys above an entry at that position; for the first entry, those that are written already."""
    if position is None:
        return (writer.ACCOUNTS,)
    above = (writer.ACCOUNTS, str(account), position.section)
    return (*above, position.region) if position.section == "repositories" else above


def _text(position: Position | None) -> str | None:
    return None if position is None else msgspec.json.encode(position).decode()


def _read(text: str) -> Position:
    try:
        position = msgspec.json.decode(text, type=Position)
    except msgspec.DecodeError:
        raise InvalidParameter("after is not a position") from None
    if position.section not in {*SECTIONS, _ORGANIZATION}:
        raise InvalidParameter("after is not a position")
    return position
