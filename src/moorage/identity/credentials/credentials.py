"""What a key id stands for: secret, owner, policies; found in one read and cached while the epoch stands still."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from moorage.cache import entry_footprint
from moorage.identity.arns import policy_arn
from moorage.identity.policies import aws_managed
from moorage.identity.principals.entity import Entity
from moorage.identity.principals.unique_ids import PULL_TOKEN, SESSION, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.identity import credentials, identities, managed_policies

_CACHED: Final = 8 << 20
"""Bytes of the credentials that are cached by key id. Unknown ids are not cached: anybody can make some up."""


class Attached(NamedTuple):
    """A policy that applies to a caller."""

    name: str
    """Of an inline policy its name, of a managed one its ARN."""
    hash: str
    """Of its document."""
    source: str
    """`user`, `group`, `role`, `aws-managed`, `user-managed`: IAM's PolicySourceType; `session`: a session's own."""
    group: str | None = None
    """The group that a user has it through."""

    @property
    def label(self) -> str:
        """As people read it."""
        return self.name if self.group is None else f"{self.name} (group {self.group})"


class PolicySets(NamedTuple):
    """The policies that come with a caller. None: no such set is attached; empty: attached, but says nothing."""

    identity: tuple[Attached, ...] = ()
    boundary: tuple[Attached, ...] | None = None
    session: tuple[Attached, ...] | None = None


class SessionState(msgspec.Struct, frozen=True):
    """What is known of a session beside whose it is."""

    name: str
    """Role session name, federated user's name; else empty."""
    tags: dict[str, str]
    transitive_keys: tuple[str, ...]
    source_identity: str | None
    provider: str | None
    chained: bool
    context: dict[str, str | tuple[str, ...]]
    """Further condition keys, in lower case."""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A living access key or a session (which may be over: compare `expires_at` with the clock)."""

    key_id: str
    secret: bytes
    account: AccountId
    kind: str
    """`key`, `token` (a pull token), or of a session `session`, `role`, `federated` (`sessions.SessionKind`)."""
    owner: Entity | None
    """The user or role whose rights it has. None: the account's root."""
    policies: PolicySets
    tags: dict[str, str]
    """Principal tags: the session's over the owner's."""
    session_token_hash: str | None = None
    """Of a session (`sessions.token_hash`), and of a pull token's secret: hex SHA-256."""
    issued_at: float | None = None
    expires_at: float | None = None
    session: SessionState | None = None
    token_name: str | None = None
    """Of a pull token."""
    service_linked: bool = False
    """Of a session: whether its role was made by CreateServiceLinkedRole."""


class _UnknownKeyError(Exception):
    """There is no such credential under that epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Credentials:
    """Finds credentials. A key unknown, inactive or deleted is None alike."""

    def __init__(self, epochs: epoch.Epochs, sealer: Sealer) -> None:
        self._db = epochs.db
        self._epochs = epochs
        self._sealer = sealer
        self._kept: epoch.ReadThroughCache[str, Credential] = epoch.ReadThroughCache(
            epochs, "credentials", _CACHED, "wide", entry_footprint
        )

    async def find(self, key_id: str) -> tuple[int, Credential | None]:
        """The epoch and the credential as they stand now; from memory while the epoch stands still."""
        try:
            return await self._kept.get(key_id, partial(self._look, key_id=key_id), await self._epochs.now())
        except _UnknownKeyError as error:
            return error.epoch, None

    async def was_token(self, token_id: str, secret_hash: str) -> bool:
        """Whether that pull token was made here; it may be over or revoked."""
        return await self._db.read(lambda conn: credentials.is_kept_token(conn, token_id, secret_hash))

    async def policies_of(self, entity: Entity) -> PolicySets:
        """The policies of a user (with its groups'), group or role, and its boundary."""
        return await self._db.read(lambda conn: policies_of(conn, entity))

    def _look(self, conn: Connection, key_id: str) -> tuple[int, Credential]:
        at, found = epoch.current(conn).wide, self._read(conn, key_id)
        if found is None:
            raise _UnknownKeyError(at)
        return at, found

    def _read(self, conn: Connection, key_id: str) -> Credential | None:
        if key_id.startswith(PULL_TOKEN):
            return _read_token(conn, key_id)
        temporary = key_id.startswith(SESSION)
        row = credentials.session(conn, key_id) if temporary else credentials.key(conn, key_id)
        if row is None:
            return None
        owner = _owner(row)
        state = _state(row) if temporary else None
        tags = {} if owner is None else identities.tags(conn, owner.id)
        return Credential(
            row.id,
            self._sealer.open(secret_purpose(row.id), row.secret),
            AccountId(row.account),
            row.kind if temporary else "key",
            owner,
            _policies(conn, row, owner) if temporary else policies_of(conn, owner),
            tags if state is None else {**_without(tags, state.tags), **state.tags},
            row.token_hash if temporary else None,
            row.issued_at if temporary else None,
            row.expires_at if temporary else None,
            state,
            service_linked=temporary and row.role_service is not None,
        )


def _read_token(conn: Connection, token_id: str) -> Credential | None:
    """A pull token: its owner, held to the token's scope. It signs nothing, so it has no secret here."""
    row = credentials.pull_token(conn, token_id)
    if row is None:
        return None
    owner = None
    if row.identity_id is not None:
        at = row.identity_created_at
        owner = Entity(
            row.identity_kind, row.identity_id, AccountId(row.account), row.identity_name, row.path, at, row.boundary_id
        )
    sets = _of_root() if owner is None else policies_of(conn, owner)
    scope = Attached(f"scope of token {row.name}", row.policy_hash, "session")
    return Credential(
        row.id,
        b"",
        AccountId(row.account),
        "token",
        owner,
        sets._replace(session=(scope,)),
        {} if owner is None else identities.tags(conn, owner.id),
        session_token_hash=row.secret_hash,
        expires_at=row.expires_at,
        token_name=row.name,
    )


def _of_root() -> PolicySets:
    """The root may do everything; whoever acts for it, what their session policy leaves of that."""
    administrator = aws_managed.ADMINISTRATOR
    return PolicySets((Attached(administrator.arn, administrator.default.hash, "aws-managed"),))


def policies_of(conn: Connection, owner: Entity | None) -> PolicySets:
    """The policies of a user, group or role: own ones and, of a user, its groups'; the boundary. Of the root none."""
    if owner is None:
        return PolicySets()
    applied = credentials.applied(conn, owner.id)
    wanted = {one.policy_id for one in applied if one.policy_id is not None}
    if owner.boundary_id is not None:
        wanted.add(owner.boundary_id)
    managed = _managed(conn, sorted(wanted))
    identity = []
    for one in applied:
        if one.policy_id is None:
            source = owner.kind if one.group is None else "group"
            identity.append(Attached(one.name or "", one.hash or "", source, one.group))
        elif one.policy_id in managed:
            identity.append(managed[one.policy_id]._replace(group=one.group))
    boundary = None
    if owner.boundary_id is not None:
        # Were it not there, the boundary would allow nothing.
        boundary = (managed[owner.boundary_id],) if owner.boundary_id in managed else ()
    return PolicySets(tuple(identity), boundary)


def _policies(conn: Connection, row: Row[Any], owner: Entity | None) -> PolicySets:
    """Of a session: its owner's, and the session policies."""
    sets = policies_of(conn, owner)
    if owner is None and row.kind == "federated":
        sets = _of_root()
    if row.policy_hash is None and row.policy_ids is None:
        return sets
    ids: list[str] = json.loads(row.policy_ids or "[]")
    passed = _managed(conn, ids)
    session = [passed[each] for each in ids if each in passed]
    if row.policy_hash is not None:
        session.insert(0, Attached("session policy", row.policy_hash, "session"))
    return sets._replace(session=tuple(session))


def _managed(conn: Connection, policy_ids: Sequence[str]) -> dict[str, Attached]:
    """The default versions of those managed policies that are there, by id."""
    found = {
        each: Attached(aws_managed.BY_ID[each].arn, aws_managed.BY_ID[each].default.hash, "aws-managed")
        for each in policy_ids
        if each in aws_managed.BY_ID
    }
    own = [each for each in policy_ids if each not in found]
    for each, row in managed_policies.by_ids(conn, own).items():
        found[each] = Attached(policy_arn(row.account, row.path, row.name), row.policy_hash, "user-managed")
    return found


def _owner(row: Row[Any]) -> Entity | None:
    if row.identity_id is None:
        return None
    return Entity(
        row.identity_kind,
        row.identity_id,
        AccountId(row.account),
        row.identity_name,
        row.path,
        row.created_at,
        row.boundary_id,
    )


def _state(row: Row[Any]) -> SessionState:
    context = json.loads(row.context or "{}")
    return SessionState(
        row.name,
        json.loads(row.tags or "{}"),
        tuple(json.loads(row.transitive_keys or "[]")),
        row.source_identity,
        row.provider,
        row.chained,
        {key: tuple(value) if isinstance(value, list) else value for key, value in context.items()},
    )


def _without(tags: dict[str, str], over: dict[str, str]) -> dict[str, str]:
    """`tags` without those that `over` has, whatever the case of their keys."""
    keys = {key.lower() for key in over}
    return {key: value for key, value in tags.items() if key.lower() not in keys}
