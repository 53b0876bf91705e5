"""Reads the resource tags of all repositories of a registry."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from moorage import pages
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.repositories import resource_tags as rows

MAX_EXAMINED: Final = 5_000
"""Repositories and tags that one page reads, whether or not it returns them, so that a large registry is not slower."""
_AT_A_TIME: Final = 20
"""Repositories that are read together. It takes a few milliseconds, even if each has fifty tags."""


class TaggedRepository(NamedTuple):
    """A repository and its resource tags."""

    ref: RepositoryRef
    tags: Mapping[str, str]


class ResourceTags:
    """Reads the tags of many repositories. `Repositories` reads and changes those of one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def scan(
        self, account: AccountId, region: Region, after: str, takes: Callable[[TaggedRepository], bool]
    ) -> str | None:
        """Pass each tagged repository after the name `after` to `takes`, in the database's order of names.

        It ends when `takes` returns False, which leaves that repository to the next page, or after reading
        `MAX_EXAMINED` repositories and tags. Return the name after which the next page begins; None for the last page.
        """
        examined = 0

        async def read(position: str, limit: int) -> Sequence[TaggedRepository]:
            await asyncio.sleep(0)  # other requests get a turn
            found = await self._db.read(lambda conn: rows.page(conn, account, region, position, limit))
            tags: dict[str, dict[str, str]] = {}
            for row in found:
                own = tags.setdefault(row.name, {})
                if row.key is not None:
                    own[row.key] = row.value or ""
            return [
                TaggedRepository(RepositoryRef(account, region, RepositoryName(name)), own)
                for name, own in tags.items()
            ]

        async for each in pages.each(read, lambda one: one.ref.name, after, at_a_time=_AT_A_TIME):
            if examined >= MAX_EXAMINED or (each.tags and not takes(each)):
                return after
            examined, after = examined + 1 + len(each.tags), each.ref.name
        return None
