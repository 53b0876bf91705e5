"""The organization that accounts are members of: its units, and the guardrail policies attached to each level.

The whole deployment has one organization, in the terms of AWS Organizations. Its policies are not interpreted here.
They are stored by the hash of their text like every policy, so that decisions can refer to them.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from moorage import events, pages
from moorage.cache import entry_footprint
from moorage.clock import Clock
from moorage.events.identity import OrganizationRemoved, OrganizationSet
from moorage.names import AccountId
from moorage.store.metadata import epoch
from moorage.store.metadata.identity import organizations as rows
from moorage.store.metadata.policies import documents

FULL_ACCESS: Final = "FullAWSAccess"
"""The SCP that is attached wherever the document names none."""
FULL_ACCESS_TEXT: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
RCP_FULL_ACCESS: Final = "RCPFullAWSAccess"
"""The RCP that is attached everywhere and cannot be detached."""
RCP_FULL_ACCESS_TEXT: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'
)

Id12 = Annotated[str, Meta(pattern=r"^[0-9]{12}\Z")]
PolicyName = Annotated[str, Meta(pattern=r"^[\w+=,.@-]{1,128}\Z")]


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What policies are attached to: the root, a unit or an account."""

    service_control_policies: tuple[str, ...] = (FULL_ACCESS,)
    resource_control_policies: tuple[str, ...] = ()
    """The names of the attached policies other than RCPFullAWSAccess, which is always attached."""


class Account(Target, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A member account."""

    id: Id12


class _Branch(Target, frozen=True, kw_only=True, rename="camel"):
    accounts: tuple[Account, ...] = ()
    units: tuple["Unit", ...] = ()


class Unit(_Branch, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An organizational unit."""

    id: Annotated[str, Meta(pattern=r"^ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}\Z")]
    name: str = ""


class Root(_Branch, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The root of the tree of units."""

    id: Annotated[str, Meta(pattern=r"^r-[0-9a-z]{4,32}\Z")]


class Organization(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The whole document."""

    id: Annotated[str, Meta(pattern=r"^o-[a-z0-9]{10,32}\Z")]
    management_account: Id12
    """The account whose administrators change the organization. No SCP or RCP applies to it."""
    root: Root
    service_control_policies: dict[PolicyName, msgspec.Raw] = {}
    resource_control_policies: dict[PolicyName, msgspec.Raw] = {}


class Guardrail(NamedTuple):
    """An SCP or RCP that is attached to one level."""

    name: str
    """With the level: `DenyDelete (ou-ab12-11111111)`."""
    hash: str


Levels = tuple[tuple[Guardrail, ...], ...]


class Membership(msgspec.Struct, frozen=True, gc=False):
    """What a decision needs to know of a member account."""

    organization: str
    path: str
    """`o-…/r-…/ou-…/`, the value of aws:PrincipalOrgPaths."""
    scp: Levels | None
    """From the root down to the account. None for the management account."""
    rcp: Levels | None
    """As `scp`."""


_CACHED: Final = 64 << 20
"""Bytes. The only organization always fits, because the size of its document is bounded."""
Members = Mapping[str, Membership]
"""By account id."""


class OrganizationDocument(NamedTuple):
    """A document that is to be put in force; `access.organization` has checked it."""

    text: str
    management_account: AccountId
    policies: Sequence[str]
    """The texts of its SCPs and RCPs."""


class OrganizationVersion(NamedTuple):
    """An entry of the history: the document that was put in force; None: the organization was removed."""

    document: str | None
    at: float
    by: str


def current(conn: Connection) -> OrganizationVersion | None:
    """Return the newest entry of the history, or None if there never was an organization."""
    newest = rows.newest(conn).id
    return None if newest is None else OrganizationVersion._make(rows.entry(conn, newest))


def put(conn: Connection, document: OrganizationDocument, *, by: str, at: float) -> None:
    """Put a document in force."""
    texts = (FULL_ACCESS_TEXT, RCP_FULL_ACCESS_TEXT, *document.policies)
    rows.add(conn, document.text, [documents.keep(conn, text) for text in texts], at, by)
    events.record(conn, OrganizationSet(at=at, account=document.management_account, by=by))


def remove(conn: Connection, *, by: str, at: float) -> None:
    """Remove the organization. Nothing happens if there is none."""
    last = current(conn)
    if last is None or last.document is None:
        return
    rows.add(conn, None, (), at, by)
    events.record(conn, OrganizationRemoved(at=at, account=management_account(last.document), by=by))


def management_account(document: str) -> AccountId:
    """Return the management account of a stored document, without reading or checking the rest of it."""
    return AccountId(msgspec.json.decode(document, type=_Managed).management_account)


class _Managed(msgspec.Struct, rename="camel"):
    """The part of a document that names the management account."""

    management_account: str


class Organizations:
    """The organization in force, and its history."""

    def __init__(self, epochs: epoch.Epochs, clock: Clock) -> None:
        self._db = epochs.db
        self._clock = clock
        self._cache: epoch.ReadThroughCache[None, Members] = epoch.ReadThroughCache(
            epochs, "organization", _CACHED, "wide", entry_footprint
        )
        self._last: tuple[int, Members] | None = None
        """The members of the newest entry that was read, by its id."""

    async def members(self, at: epoch.Epoch | None = None) -> Members:
        """Return the member accounts; none without an organization. `at`: the epoch, if the caller just read it."""
        known = self._cache.known(None, at)
        return known if known is not None else (await self._cache.get(None, self._look, at))[1]

    async def get(self) -> OrganizationVersion | None:
        """Return the newest entry, as `current` does."""
        return await self._db.read(current)

    async def put(self, document: OrganizationDocument, *, by: str) -> None:
        """Put a document in force, as `put` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: put(conn, document, by=by, at=at))

    async def remove(self, *, by: str) -> None:
        """Remove the organization, as `remove` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: remove(conn, by=by, at=at))

    async def history(
        self, before: int | None = None, *, limit: int = 100
    ) -> tuple[list[OrganizationVersion], int | None]:
        """Return a page of the entries, newest first, and the value of `before` for the next page; None: the last page.

        A page has as many entries as fit into `PAGE_BYTES` of documents, and at least one.
        """
        most_bytes = pages.PAGE_BYTES
        found, following = await self._db.read(lambda conn: rows.history(conn, before, limit, most_bytes))
        return [OrganizationVersion._make(row) for row in found], following

    def _look(self, conn: Connection) -> tuple[int, Members]:
        at, newest = rows.newest(conn)
        if newest is None:
            return at, {}
        if self._last is None or self._last[0] != newest:  # the epoch changes far more often than the organization
            document = rows.entry(conn, newest).document
            members = () if document is None else _members(msgspec.json.decode(document, type=Organization))
            self._last = (newest, {str(account): membership for account, membership in members})
        return at, self._last[1]


def _members(organization: Organization) -> Iterator[tuple[AccountId, Membership]]:
    scps = {FULL_ACCESS: FULL_ACCESS_TEXT} | _texts(organization.service_control_policies)
    rcps = {RCP_FULL_ACCESS: RCP_FULL_ACCESS_TEXT} | _texts(organization.resource_control_policies)
    hashes = [{name: hashlib.sha256(text.encode()).hexdigest() for name, text in each.items()} for each in (scps, rcps)]

    def guardrails(target: Account | Unit | Root) -> tuple[tuple[Guardrail, ...], tuple[Guardrail, ...]]:
        named = dict.fromkeys((RCP_FULL_ACCESS, *target.resource_control_policies))
        return (
            tuple(Guardrail(f"{name} ({target.id})", hashes[0][name]) for name in target.service_control_policies),
            tuple(Guardrail(f"{name} ({target.id})", hashes[1][name]) for name in named),
        )

    def below(branch: Root | Unit, path: str, scp: Levels, rcp: Levels) -> Iterator[tuple[AccountId, Membership]]:
        here, path = guardrails(branch), f"{path}{branch.id}/"
        scp, rcp = (*scp, here[0]), (*rcp, here[1])
        for account in branch.accounts:
            own = guardrails(account)
            is_bound = account.id != organization.management_account
            yield (
                AccountId(account.id),
                Membership(
                    organization.id, path, (*scp, own[0]) if is_bound else None, (*rcp, own[1]) if is_bound else None
                ),
            )
        for unit in branch.units:
            yield from below(unit, path, scp, rcp)

    return below(organization.root, f"{organization.id}/", (), ())


def _texts(policies: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    return {name: bytes(raw).decode() for name, raw in policies.items()}
