"""The organisation that accounts are members of: its units, and the guard rails on each level.

A setting of Moorage's, in the words of AWS Organizations: one document for the whole deployment. What its policies mean
is not known here; they are kept by the hash of their text like every policy, so that decisions can refer to them.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from moorage import pages
from moorage.cache import entry_footprint
from moorage.clock import Clock
from moorage.names import AccountId
from moorage.store.metadata import epoch
from moorage.store.metadata.identity import organizations as rows
from moorage.store.metadata.policies import repository_policies

FULL_ACCESS: Final = "FullAWSAccess"
"""The SCP that is attached wherever none is named."""
FULL_ACCESS_TEXT: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
RCP_FULL_ACCESS: Final = "RCPFullAWSAccess"
"""The RCP that is attached everywhere and cannot be detached."""
RCP_FULL_ACCESS_TEXT: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'
)

Id12 = Annotated[str, Meta(pattern=r"^[0-9]{12}\Z")]
PolicyName = Annotated[str, Meta(pattern=r"^[\w+=,.@-]{1,128}\Z")]


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What policies are attached to, by their names."""

    service_control_policies: tuple[str, ...] = (FULL_ACCESS,)
    resource_control_policies: tuple[str, ...] = ()
    """Beside RCPFullAWSAccess."""


class Account(Target, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A member."""

    id: Id12


class _Branch(Target, frozen=True, kw_only=True, rename="camel"):
    accounts: tuple[Account, ...] = ()
    units: tuple["Unit", ...] = ()


class Unit(_Branch, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An organisational unit."""

    id: Annotated[str, Meta(pattern=r"^ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}\Z")]
    name: str = ""


class Root(_Branch, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What all units hang on."""

    id: Annotated[str, Meta(pattern=r"^r-[0-9a-z]{4,32}\Z")]


class Organization(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The whole document."""

    id: Annotated[str, Meta(pattern=r"^o-[a-z0-9]{10,32}\Z")]
    management_account: Id12
    """Its administrators change the organisation; no SCP or RCP touches it."""
    root: Root
    service_control_policies: dict[PolicyName, msgspec.Raw] = {}
    resource_control_policies: dict[PolicyName, msgspec.Raw] = {}


class Rail(NamedTuple):
    """A policy attached to one level."""

    name: str
    """With the level: `DenyDelete (ou-ab12-11111111)`."""
    hash: str


Levels = tuple[tuple[Rail, ...], ...]


class Membership(msgspec.Struct, frozen=True, gc=False):
    """What a decision needs to know of a member account."""

    organization: str
    path: str
    """`o-…/r-…/ou-…/`, as aws:PrincipalOrgPaths has it."""
    scp: Levels | None
    """From the root down to the account. None for the management account."""
    rcp: Levels | None


_MEMBERS = 64 << 20
"""Bytes; the one organization that there is has always room: its document is bounded."""
Members = Mapping[str, Membership]
"""By account id."""


class Kept(NamedTuple):
    """A document as it was set; `document` None says that the organisation was removed."""

    document: str | None
    at: float
    by: str


class Organizations:
    """The organisation in force, and those that were. Every change raises the authorisation epoch."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock) -> None:
        self._db = epochs.db
        self._clock = clock
        self._members: epoch.ReadThroughCache[None, Members] = epoch.ReadThroughCache(
            epochs, "organization", _MEMBERS, "wide", entry_footprint
        )
        self._read: tuple[int, Members] | None = None

    async def members(self, at: epoch.Epoch | None = None) -> Members:
        """The member accounts as they stand; none without an organisation. `at`: the epoch, where it was just read."""
        known = self._members.known(None, at)
        return known if known is not None else (await self._members.get(None, self._look, at))[1]

    async def get(self) -> Kept | None:
        """What was set last; None when nothing ever was."""

        def work(conn: Connection) -> Kept | None:
            newest = rows.newest(conn).id
            return None if newest is None else Kept._make(rows.entry(conn, newest))

        return await self._db.read(work)

    async def set(self, document: str | None, texts: Sequence[str], *, by: str) -> None:
        """Put the document in force (None: there is no organisation any more); `texts` are those of its policies."""

        def work(conn: Connection) -> None:
            hashes = [repository_policies.keep(conn, text) for text in (FULL_ACCESS_TEXT, RCP_FULL_ACCESS_TEXT, *texts)]
            rows.add(conn, document, hashes, self._clock.now(), by)
            epoch.advance(conn)

        await self._db.transaction(work)

    async def history(self, before: int | None = None, *, limit: int = 100) -> tuple[list[Kept], int | None]:
        """A page of the entries, newest first: as many as have `PAGE_BYTES` of documents together, and at least one.

        Also the number to ask for the next page with, as `before`; None after the last one.
        """
        most_bytes = pages.PAGE_BYTES
        found, following = await self._db.read(lambda conn: rows.history(conn, before, limit, most_bytes))
        return [Kept._make(row) for row in found], following

    def _look(self, conn: Connection) -> tuple[int, Members]:
        at, newest = rows.newest(conn)
        if newest is None:
            return at, {}
        if self._read is None or self._read[0] != newest:  # the epoch rises far more often than this changes
            document = rows.entry(conn, newest).document
            members = () if document is None else _members(msgspec.json.decode(document, type=Organization))
            self._read = (newest, {str(account): membership for account, membership in members})
        return at, self._read[1]


def _members(organization: Organization) -> Iterator[tuple[AccountId, Membership]]:
    scps = {FULL_ACCESS: FULL_ACCESS_TEXT} | _texts(organization.service_control_policies)
    rcps = {RCP_FULL_ACCESS: RCP_FULL_ACCESS_TEXT} | _texts(organization.resource_control_policies)
    hashes = [{name: hashlib.sha256(text.encode()).hexdigest() for name, text in each.items()} for each in (scps, rcps)]

    def rails(target: Account | Unit | Root) -> tuple[tuple[Rail, ...], tuple[Rail, ...]]:
        named = dict.fromkeys((RCP_FULL_ACCESS, *target.resource_control_policies))
        return (
            tuple(Rail(f"{name} ({target.id})", hashes[0][name]) for name in target.service_control_policies),
            tuple(Rail(f"{name} ({target.id})", hashes[1][name]) for name in named),
        )

    def below(branch: Root | Unit, path: str, scp: Levels, rcp: Levels) -> Iterator[tuple[AccountId, Membership]]:
        here, path = rails(branch), f"{path}{branch.id}/"
        scp, rcp = (*scp, here[0]), (*rcp, here[1])
        for account in branch.accounts:
            own = rails(account)
            guarded = account.id != organization.management_account
            yield (
                AccountId(account.id),
                Membership(
                    organization.id, path, (*scp, own[0]) if guarded else None, (*rcp, own[1]) if guarded else None
                ),
            )
        for unit in branch.units:
            yield from below(unit, path, scp, rcp)

    return below(organization.root, f"{organization.id}/", (), ())


def _texts(policies_: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    return {name: bytes(raw).decode() for name, raw in policies_.items()}
