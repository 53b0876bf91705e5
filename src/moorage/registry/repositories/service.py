"""The repositories of all registries: each method is one transaction over `rules`, or a cached read."""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from moorage.clock import Clock
from moorage.errors import RepositoryAlreadyExists, RepositoryNotFound
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.registry.authorizer import Authorizer
from moorage.registry.query_cache import QueryCache
from moorage.registry.repositories import rules
from moorage.registry.repositories.types import (
    Encryption,
    NamePage,
    NewRepository,
    Repository,
    RepositoryState,
    TagMutability,
)
from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.repositories import repositories as rows

DESCRIBE: Final = "ecr:DescribeRepositories"
NAMES_DECIDED: Final = 1001
"""Repositories decided on for one page of `visible_names`."""
_DECISIONS_PER_TURN: Final = 100
"""Decisions made before other requests get a turn."""
_ID_POSITION: Final = re.compile(r"~[0-9]{1,18}")
_STATES_BYTES: Final = 8 << 20


class Repositories:
    """Creates, describes, changes and deletes repositories. The errors are those of `rules`."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock, settings: Settings) -> None:
        self._db = db = epochs.db
        self._epochs = epochs
        self._clock = clock
        self._settings = settings
        self._states: epoch.ReadThroughCache[RepositoryRef, RepositoryState | None] = epoch.ReadThroughCache(
            epochs, "repository_states", _STATES_BYTES, "value", lambda _, state: _size_of_state(state)
        )
        self._found: QueryCache[RepositoryRef, Repository] = QueryCache(db, "repositories", _size)

    async def create(
        self,
        ref: RepositoryRef,
        *,
        mutability: str = "MUTABLE",
        exclusion_filters: Sequence[str] = (),
        scan_on_push: bool = False,
        encryption: Encryption | None = None,
        tags: Mapping[str, str] | None = None,
        by: str,
    ) -> Repository:
        """Create a repository.

        RepositoryAlreadyExists, LimitExceeded, InvalidParameter, InvalidTagParameter, TooManyTags.
        """
        rule = TagMutability(mutability, tuple(exclusion_filters))
        new = NewRepository(ref, rule, scan_on_push, encryption or Encryption(), tags or {})
        return await self._db.transaction(
            lambda conn: rules.create(conn, new, self._settings, by=by, at=self._clock.now())
        )

    async def create_if_absent(self, ref: RepositoryRef, authorizer: Authorizer, *, by: str) -> None:
        """Create the repository of a push, if it does not exist and repositories are created on push.

        AccessDenied unless the caller may `ecr:CreateRepository`; otherwise the errors of `create`.
        """
        if not self._settings.creates_on_push or await self.state(ref) is not None:
            return
        await authorizer.require("ecr:CreateRepository", ref)
        with suppress(RepositoryAlreadyExists):  # another push has just created it
            await self.create(ref, by=by)

    async def get(self, ref: RepositoryRef) -> Repository:
        """Return the repository. RepositoryNotFound."""
        return await self._found.get(ref, lambda conn: rules.get(conn, ref))

    async def named(self, account: AccountId, region: Region, names: Sequence[str]) -> list[Repository]:
        """Return the repositories of these names, in the order given. RepositoryNotFound if one is missing."""
        if len(names) == 1:  # the usual case, which `get` caches
            return [await self.get(RepositoryRef(account, region, RepositoryName(names[0])))]
        found = await self._db.read(lambda conn: rows.named(conn, account, region, names))
        by_name: dict[str, Repository] = {row.name: rules.repository(row) for row in found}
        for name in names:
            if name not in by_name:
                raise RepositoryNotFound(RepositoryRef(account, region, RepositoryName(name)))
        return [by_name[name] for name in names]

    async def page(self, account: AccountId, region: Region, *, after: int = 0, limit: int) -> list[Repository]:
        """Return the next `limit` repositories after the one with the id `after`, in order of creation."""
        found = await self._db.read(lambda conn: rows.page(conn, account, region, after, limit))
        return [rules.repository(row) for row in found]

    async def names(self, account: AccountId, region: Region, *, after: str | int = "", limit: int) -> list[str]:
        """Return the next `limit` names after `after` (a name, or the id of a repository), in ASCII order."""
        return await self._db.read(lambda conn: rows.names(conn, account, region, after, limit))

    async def visible_names(
        self, account: AccountId, region: Region, authorizer: Authorizer, *, after: str = "", limit: int
    ) -> NamePage:
        """Return up to `limit` names after `after`, in ASCII order, of repositories that the caller may describe.

        At most `NAMES_DECIDED` repositories are decided on, so a page may be short although another one follows. The
        decisions are not recorded, except the one about the first name of the page, which stands for the list.
        AccessDenied if the first page would be empty and the caller may not describe all repositories of the registry.
        """
        visible: list[RepositoryRef] = []
        at, decided, more = _position(after), 0, True
        following: str | None = None
        while more and following is None:
            batch = min(limit + 1, NAMES_DECIDED)
            names = await self.names(account, region, after=at, limit=batch)
            more = len(names) == batch
            for name in names:
                if len(visible) == limit:
                    following = visible[-1].name
                    break
                if decided == NAMES_DECIDED:
                    following = await self._hidden_position(RepositoryRef(account, region, RepositoryName(str(at))))
                    break
                at, decided = name, decided + 1
                if decided % _DECISIONS_PER_TURN == 0:
                    await asyncio.sleep(0)
                ref = RepositoryRef(account, region, RepositoryName(name))
                if await authorizer.sees(DESCRIBE, ref):
                    visible.append(ref)
        if visible:
            await authorizer.require(DESCRIBE, visible[0])
        elif following is None and not after:
            await authorizer.require_on_all(DESCRIBE, account, region)
        return NamePage([ref.name for ref in visible], following)

    async def _hidden_position(self, ref: RepositoryRef) -> str:
        """Return the position after a repository that the caller may not see: its id, which reveals no name."""
        return f"~{await self._db.read(lambda conn: rows.newest_id(conn, ref))}"

    async def regions(self, account: AccountId) -> list[Region]:
        """Return the regions in which the account has repositories."""
        found = await self._db.read(lambda conn: rows.regions(conn, account))
        return [Region(each) for each in found]

    async def delete(self, ref: RepositoryRef, *, force: bool, by: str) -> Repository:
        """Move the repository to the trash. RepositoryNotFound; RepositoryNotEmpty if not `force`d."""
        return await self._db.transaction(
            lambda conn: rules.delete(conn, ref, force=force, by=by, at=self._clock.now()), frees=True
        )

    async def set_mutability(
        self, ref: RepositoryRef, mutability: str, exclusion_filters: Sequence[str], *, by: str
    ) -> Repository:
        """Set which tags may be moved from now on. RepositoryNotFound, InvalidParameter."""
        rule = TagMutability(mutability, tuple(exclusion_filters))
        return await self._db.transaction(
            lambda conn: rules.set_mutability(conn, ref, rule, by=by, at=self._clock.now())
        )

    async def set_scan_on_push(self, ref: RepositoryRef, scan_on_push: bool, *, by: str) -> Repository:
        """Set whether images are scanned when they are pushed. RepositoryNotFound."""
        return await self._db.transaction(
            lambda conn: rules.set_scan_on_push(conn, ref, scan_on_push, by=by, at=self._clock.now())
        )

    async def tag(self, ref: RepositoryRef, tags: Mapping[str, str], *, by: str) -> None:
        """Add or replace resource tags. RepositoryNotFound, InvalidTagParameter, TooManyTags."""
        await self._db.transaction(lambda conn: rules.tag(conn, ref, tags, by=by, at=self._clock.now()))

    async def untag(self, ref: RepositoryRef, keys: Sequence[str], *, by: str) -> None:
        """Remove resource tags by key; keys that do not exist are ignored. RepositoryNotFound, InvalidTagParameter."""
        await self._db.transaction(lambda conn: rules.untag(conn, ref, keys, by=by, at=self._clock.now()))

    async def tags(self, ref: RepositoryRef) -> dict[str, str]:
        """Return the resource tags of the repository. RepositoryNotFound."""
        return await self._db.read(lambda conn: rules.tags(conn, ref))

    def current_epoch(self) -> Awaitable[epoch.Epoch]:
        """Return the authorization epoch. While it does not change, neither does any decision."""
        return self._epochs.now()

    async def state(self, ref: RepositoryRef, at: epoch.Epoch | None = None) -> RepositoryState | None:
        """Return what a decision needs to know of the repository; None if there is none.

        `at`: the authorization epoch, if the request has just read it.
        """
        return (await self._states.get(ref, partial(rules.state, ref=ref), at))[1]

    async def deleted_state(self, repository_id: int) -> RepositoryState | None:
        """Return what a decision needs to know of a repository in the trash; None if it is not there."""
        return await self._db.read(lambda conn: rules.deleted_state(conn, repository_id))


def _position(after: str) -> str | int:
    """Return the name or id that a position of a `NamePage` means. A name never begins with `~`."""
    return int(after[1:]) if _ID_POSITION.fullmatch(after) is not None else after


def _size_of_state(state: RepositoryState | None) -> int:
    """Return an upper bound of the bytes of a state and its key, without looking at the tags (384 characters each)."""
    return 1000 if state is None else 1000 + 1700 * len(state.tags)


def _size(_ref: RepositoryRef, found: Repository) -> int:
    """Return an upper bound of the bytes of a cached repository, whose name is in it twice."""
    return 1024 + 2 * len(found.ref.name) + len(found.encryption.kms_key or "") + sum(map(len, found.exclusion_filters))
