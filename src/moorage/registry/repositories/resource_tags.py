"""The resource tags of a registry's repositories, read across all of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from moorage import pages
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.repositories import resource_tags as rows

MOST_EXAMINED: Final = 5_000
"""Repositories, and tags of them, that one page looks at, whether or not it shows them: a large registry makes no page
slower."""
_AT_A_TIME: Final = 20
"""Repositories that are read together: in a few milliseconds, even if each has fifty tags."""


class Tagged(NamedTuple):
    """A repository and its resource tags."""

    ref: RepositoryRef
    tags: Mapping[str, str]


class ResourceTags:
    """Reads the tags of repositories; `Repositories` changes them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def offer(
        self, account: AccountId, region: Region, after: str, takes: Callable[[Tagged], bool]
    ) -> str | None:
        """Offer each tagged repository after the name `after` to `takes`, in the database's order of names.

        It ends when `takes` returns False, which leaves that repository to the next page, or after looking at
        `MOST_EXAMINED` repositories and tags. Return the name after which the next page begins; None on the last page.
        """
        examined = 0

        async def read(position: str, limit: int) -> Sequence[Tagged]:
            await asyncio.sleep(0)  # other requests take their turn
            found = await self._db.read(lambda conn: rows.page(conn, account, region, position, limit))
            tags: dict[str, dict[str, str]] = {}
            for row in found:
                own = tags.setdefault(row.name, {})
                if row.key is not None:
                    own[row.key] = row.value or ""
            return [Tagged(RepositoryRef(account, region, RepositoryName(name)), own) for name, own in tags.items()]

        async for each in pages.each(read, lambda one: one.ref.name, after, at_a_time=_AT_A_TIME):
            if examined >= MOST_EXAMINED or (each.tags and not takes(each)):
                return after
            examined, after = examined + 1 + len(each.tags), each.ref.name
        return None
