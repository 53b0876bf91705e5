"""Repositories: made, described, tagged, deleted (docs/development/ecr-behavior.md §4)."""

import asyncio
import re
import unicodedata
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from moorage.clock import Clock
from moorage.errors import (
    InvalidParameter,
    InvalidTagParameter,
    LimitExceeded,
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
    TooManyTags,
)
from moorage.locations import Locations
from moorage.names import AccountId, Region, RepositoryName, RepositoryRef, partition
from moorage.registry import events
from moorage.registry.authorizer import Authorizer
from moorage.registry.query_cache import Recent
from moorage.registry.repositories.regions import check_region
from moorage.settings import Settings
from moorage.store.metadata import epoch
from moorage.store.metadata.repositories import repositories as rows

DESCRIBE = "ecr:DescribeRepositories"
NAMES_DECIDED = 1001
"""Repositories decided on for one page of `visible_names`."""
TAGS_AT_MOST = 50
FILTERS_AT_MOST = 5
_TURN = 100
"""Decisions made at a stretch."""
_ID_POSITION = re.compile(r"~[0-9]{1,18}")
_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
_WITH_EXCLUSION = ("IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
_STATES_KEPT = 8 << 20


class Encryption(msgspec.Struct, frozen=True, gc=False):
    """Accepted and given back; `kms_key` only with a KMS type."""

    type: str = "AES256"
    kms_key: str | None = None


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A repository as it stands."""

    id: int
    ref: RepositoryRef
    created_at: float
    mutability: str
    exclusion_filters: tuple[str, ...]
    scan_on_push: bool
    encryption: Encryption


class State(msgspec.Struct, frozen=True, gc=False):
    """What a decision about a repository needs to know of it."""

    repository_id: int
    policy_hash: str | None
    tags: Mapping[str, str]


class VisibleNames(NamedTuple):
    """A page of names."""

    names: list[str]
    following: str | None
    """Where the next page begins, for `after`: after a name, or `~` and an id; None: there is none."""


class Repositories:
    """The repositories of every registry."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock, settings: Settings) -> None:
        self._db = db = epochs.db
        self._epochs = epochs
        self._clock = clock
        self._settings = settings
        self._states: epoch.ReadThroughCache[RepositoryRef, State | None] = epoch.ReadThroughCache(
            epochs, "repository_states", _STATES_KEPT, "value", lambda _, state: _state_size(state)
        )
        self._found: Recent[RepositoryRef, Repository] = Recent(db, "repositories", _found_size)

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
        """Make it. RepositoryAlreadyExists, LimitExceeded, InvalidParameter, InvalidTagParameter, TooManyTags."""
        check_creatable(ref)
        _check_filters(mutability, exclusion_filters)
        tags = tags or {}
        _check_tags(tags)
        encryption = _resolved(encryption or Encryption(), ref)

        def work(conn: Connection) -> Repository:
            if rows.find(conn, ref) is not None:
                raise RepositoryAlreadyExists(ref)
            check_room(conn, ref, self._settings)
            now = self._clock.now()
            repository_id = rows.add(
                conn,
                account=ref.account,
                region=ref.region,
                name=ref.name,
                created_at=now,
                created_by=by,
                mutability=mutability,
                exclusion_filters=msgspec.json.encode(list(exclusion_filters)).decode(),
                scan_on_push=scan_on_push,
                encryption_type=encryption.type,
                kms_key=encryption.kms_key,
            )
            rows.set_tags(conn, repository_id, tags)
            epoch.advance_repository(conn)
            events.record(conn, ref, "repository.created", {"by": by}, at=now)
            return _read(_row(conn, ref))

        return await self._db.transaction(work)

    async def create_if_absent(self, ref: RepositoryRef, authorizer: Authorizer, *, by: str) -> None:
        """Create it unless it is there or repositories are not created on push.

        AccessDenied unless the caller may `ecr:CreateRepository`; what `create` raises.
        """
        if not self._settings.creates_on_push or await self.state(ref) is not None:
            return
        await authorizer.require("ecr:CreateRepository", ref)
        with suppress(RepositoryAlreadyExists):  # by another push, just now
            await self.create(ref, by=by)

    async def get(self, ref: RepositoryRef) -> Repository:
        """It, or RepositoryNotFound."""
        return await self._found.get(ref, lambda conn: _read(_row(conn, ref)))

    async def named(self, account: AccountId, region: Region, names: Sequence[str]) -> list[Repository]:
        """Those of these names, in their order; RepositoryNotFound when one is missing."""
        if len(names) == 1:  # as nearly all ask
            return [await self.get(RepositoryRef(account, region, RepositoryName(names[0])))]
        found = await self._db.read(lambda conn: rows.named(conn, account, region, names))
        by_name = {row.name: _read(row) for row in found}
        for name in names:
            if name not in by_name:
                raise RepositoryNotFound(RepositoryRef(account, region, RepositoryName(name)))
        return [by_name[name] for name in names]

    async def page(self, account: AccountId, region: Region, *, after: int = 0, limit: int) -> list[Repository]:
        """The next `limit` after the one of id `after`, in order of creation."""
        found = await self._db.read(lambda conn: rows.page(conn, account, region, after, limit))
        return [_read(row) for row in found]

    async def names(self, account: AccountId, region: Region, *, after: str | int = "", limit: int) -> list[str]:
        """The next `limit` names after `after` (a name, or a repository's id), in ASCII order."""
        return await self._db.read(lambda conn: rows.names(conn, account, region, after, limit))

    async def visible_names(
        self, account: AccountId, region: Region, authorizer: Authorizer, *, after: str = "", limit: int
    ) -> VisibleNames:
        """Up to `limit` names after `after`, in ASCII order, of repositories that the caller may describe.

        At most `NAMES_DECIDED` are decided on, so a page may be short and yet have a next one. AccessDenied when the
        first page would be empty and the caller may not describe all repositories of the registry either. The entries
        are decided without a record, but for the first that is shown: it stands for the list.
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
                    following = await self._unnamed(RepositoryRef(account, region, RepositoryName(str(at))))
                    break
                at, decided = name, decided + 1
                if decided % _TURN == 0:
                    await asyncio.sleep(0)  # other requests take their turn
                ref = RepositoryRef(account, region, RepositoryName(name))
                if await authorizer.sees(DESCRIBE, ref):
                    visible.append(ref)
        if visible:
            await authorizer.require(DESCRIBE, visible[0])
        elif following is None and not after:
            await authorizer.require_on_all(DESCRIBE, account, region)
        return VisibleNames([ref.name for ref in visible], following)

    async def _unnamed(self, ref: RepositoryRef) -> str:
        """The position after a repository that the caller may not see: its id, which tells no name."""
        return f"~{await self._db.read(lambda conn: rows.newest_id(conn, ref))}"

    async def regions(self, account: AccountId) -> list[Region]:
        """The regions in which the account has repositories."""
        found = await self._db.read(lambda conn: rows.regions(conn, account))
        return [Region(each) for each in found]

    async def delete(self, ref: RepositoryRef, *, force: bool, by: str) -> Repository:
        """Into the trash with it and all it holds; without `force` RepositoryNotEmpty when it holds an image.

        Its open uploads end with the next sweep.
        """

        def work(conn: Connection) -> Repository:
            row = _row(conn, ref)
            if not force and rows.has_images(conn, row.id):
                raise RepositoryNotEmpty(ref)
            now = self._clock.now()
            rows.change(conn, row.id, deleted_at=now, deleted_by=by)
            epoch.advance_repository(conn)
            events.record(conn, ref, "repository.deleted", {"by": by}, at=now)
            return _read(row)

        return await self._db.transaction(work, frees=True)

    async def set_mutability(
        self, ref: RepositoryRef, mutability: str, exclusion_filters: Sequence[str], *, by: str
    ) -> Repository:
        """From now on tags may (not) be moved; those that exist stay. RepositoryNotFound, InvalidParameter."""
        _check_filters(mutability, exclusion_filters)
        filters = msgspec.json.encode(list(exclusion_filters)).decode()
        return await self._change(ref, {"mutability": mutability, "exclusion_filters": filters}, by)

    async def set_scan_on_push(self, ref: RepositoryRef, scan_on_push: bool, *, by: str) -> Repository:
        """Keep whether images are to be scanned when they are pushed. RepositoryNotFound."""
        return await self._change(ref, {"scan_on_push": scan_on_push}, by)

    async def _change(self, ref: RepositoryRef, values: Mapping[str, Any], by: str) -> Repository:
        def work(conn: Connection) -> Repository:
            rows.change(conn, _row(conn, ref).id, **values)
            events.record(conn, ref, "repository.changed", {"by": by}, at=self._clock.now())
            return _read(_row(conn, ref))

        return await self._db.transaction(work)

    async def tag(self, ref: RepositoryRef, tags: Mapping[str, str], *, by: str) -> None:
        """Put resource tags over those of the same keys. RepositoryNotFound, InvalidTagParameter, TooManyTags."""
        _check_tags(tags)

        def work(conn: Connection) -> None:
            repository_id = _row(conn, ref).id
            rows.set_tags(conn, repository_id, tags)
            _check_tags(rows.tags(conn, repository_id))
            epoch.advance_repository(conn)
            events.record(conn, ref, "repository.tagged", {"by": by}, at=self._clock.now())

        await self._db.transaction(work)

    async def untag(self, ref: RepositoryRef, keys: Sequence[str], *, by: str) -> None:
        """Remove resource tags; keys that are not there do no harm. RepositoryNotFound, InvalidTagParameter."""
        if not all(map(_is_tag_text, keys)):
            raise InvalidTagParameter

        def work(conn: Connection) -> None:
            rows.remove_tags(conn, _row(conn, ref).id, keys)
            epoch.advance_repository(conn)
            events.record(conn, ref, "repository.tagged", {"by": by}, at=self._clock.now())

        await self._db.transaction(work)

    async def tags(self, ref: RepositoryRef) -> dict[str, str]:
        """Its resource tags. RepositoryNotFound."""
        return await self._db.read(lambda conn: rows.tags(conn, _row(conn, ref).id))

    def current_epoch(self) -> Awaitable[epoch.Epoch]:
        """The authorisation epoch: as long as it stands, decisions rest on the same policies."""
        return self._epochs.now()

    async def state(self, ref: RepositoryRef, at: epoch.Epoch | None = None) -> State | None:
        """What a decision needs of the repository; None when there is none. `at`: the epoch, where it was just read."""
        return (await self._states.get(ref, partial(_state, ref=ref), at))[1]

    async def deleted_state(self, repository_id: int) -> State | None:
        """The same of a repository in the trash, by its id; None when it is there no longer."""

        def work(conn: Connection) -> State | None:
            row = rows.in_trash(conn, repository_id)
            return None if row is None else State(row.id, row.policy_hash, rows.tags(conn, row.id))

        return await self._db.read(work)


def _position(after: str) -> str | int:
    """The name or id that a position of `VisibleNames` stands for. A name never begins with `~`."""
    return int(after[1:]) if _ID_POSITION.fullmatch(after) is not None else after


def _state_size(state: State | None) -> int:
    """Bytes of a state and its repository's name; a tag has at most 384 characters. Cheap, as every change asks it."""
    return 1000 if state is None else 1000 + 1700 * len(state.tags)


def check_creatable(ref: RepositoryRef) -> None:
    """InvalidParameter for a name that reads as a repository of another registry (design §4)."""
    if Locations.is_path_form(ref.name):
        raise InvalidParameter.at("repositoryName", "must not begin with an account id and a region")


def check_room(conn: Connection, ref: RepositoryRef, settings: Settings) -> None:
    """LimitExceeded when the registry of `ref` has as many repositories, or its account as many regions, as it may.

    Runs in a transaction.
    """
    check_region(conn, ref.account, ref.region)
    limit = settings.repositories_per_registry
    if rows.reaches(conn, ref.account, ref.region, limit):
        raise LimitExceeded(
            f"The registry with id '{ref.account}' already has the maximum allowed number of "
            f"repositories which is '{limit}'"
        )


def _row(conn: Connection, ref: RepositoryRef) -> Any:
    row = rows.find(conn, ref)
    if row is None:
        raise RepositoryNotFound(ref)
    return row


def _read(row: Row[Any]) -> Repository:
    return Repository(
        id=row.id,
        ref=RepositoryRef(row.account, row.region, row.name),
        created_at=row.created_at,
        mutability=row.mutability,
        exclusion_filters=tuple(msgspec.json.decode(row.exclusion_filters)),
        scan_on_push=bool(row.scan_on_push),
        encryption=Encryption(row.encryption_type, row.kms_key),
    )


def _state(conn: Connection, ref: RepositoryRef) -> tuple[int, State | None]:
    found = rows.state(conn, ref)
    first = found[0]
    if first.id is None:
        return first.epoch, None
    tags = {row.key: row.value for row in found if row.key is not None}
    return first.epoch, State(first.id, first.policy_hash, tags)


def _found_size(_ref: RepositoryRef, found: Repository) -> int:
    """Bytes of a cached repository: the rest is short, and its name there twice."""
    return 1024 + 2 * len(found.ref.name) + len(found.encryption.kms_key or "") + sum(map(len, found.exclusion_filters))


def _resolved(encryption: Encryption, ref: RepositoryRef) -> Encryption:
    """With KMS and no key, AWS takes its managed key; a key id or alias comes back as an ARN [recall]."""
    if encryption.type == "AES256":
        return Encryption()
    key = encryption.kms_key or "alias/aws/ecr"
    if not key.startswith("arn:"):
        kind = key if key.startswith("alias/") else f"key/{key}"
        key = f"arn:{partition(ref.region)}:kms:{ref.region}:{ref.account}:{kind}"
    return Encryption(encryption.type, key)


def _check_filters(mutability: str, filters: Sequence[str]) -> None:
    """Exclusion filters go with the two WITH_EXCLUSION values, and with these only."""
    path = "imageTagMutabilityExclusionFilters"
    if mutability in _WITH_EXCLUSION and not filters:
        raise InvalidParameter.at(
            path, f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mutability}"
        )
    if filters and mutability not in _WITH_EXCLUSION:
        raise InvalidParameter.at(
            path,
            f"ImageTagMutabilityExclusionFilters can't be specified when imageTagMutability is set as {mutability}",
        )
    if len(filters) > FILTERS_AT_MOST:
        raise InvalidParameter.at(path, f"Member must have length less than or equal to {FILTERS_AT_MOST}")
    for position, each in enumerate(filters, 1):
        if _FILTER.fullmatch(each) is None or each.count("*") > 2:
            raise InvalidParameter.at(
                f"{path}.{position}.member.filter", "must satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}$'"
            )


def _check_tags(tags: Mapping[str, str]) -> None:
    """ECR's rules for resource tags (docs/development/ecr-behavior.md §4), and IAM's for keys that differ only by case.

    Condition keys have no case (`aws:ResourceTag/env`), so one of two such tags would hide the other from policies.
    """
    if len({key.lower() for key in tags}) < len(tags):
        raise InvalidTagParameter
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise InvalidTagParameter
        if not _is_tag_text(key) or not _is_tag_text(value):
            raise InvalidTagParameter
    if len(tags) > TAGS_AT_MOST:
        raise TooManyTags(f"The maximum number of tags of a repository is {TAGS_AT_MOST}")


def _is_tag_text(text: str) -> bool:
    """Letters, digits and spaces of any script and `_ . : / = + - @`, as AWS documents for tags of all its services."""
    return all(each in "_.:/=+-@" or unicodedata.category(each)[0] in "LNZ" for each in text)
