"""Credentials by their key id: secret, owner and policies, found in one read and cached until the epoch changes."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from moorage.cache import entry_footprint
from moorage.identity.arns import policy_arn
from moorage.identity.policies import aws_managed
from moorage.identity.principals.entity import Entity
from moorage.identity.principals.unique_ids import PULL_TOKEN, SESSION, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.identity import credentials as rows
from moorage.store.metadata.identity import identities, managed_policies

_CACHED: Final = 8 << 20
"""Bytes of cached credentials. Unknown key ids are not cached, because anybody can make some up."""


class Attached(NamedTuple):
    """A policy that applies to a caller."""

    name: str
    """The name of an inline policy, the ARN of a managed one."""
    hash: str
    """The hash of its document."""
    source: str
    """`user`, `group`, `role`, `aws-managed`, `user-managed`: IAM's PolicySourceType; `session`: a session policy."""
    group: str | None = None
    """The name of the group that the user has the policy through."""

    @property
    def label(self) -> str:
        """The name as it is shown to people."""
        return self.name if self.group is None else f"{self.name} (group {self.group})"


class PolicySets(NamedTuple):
    """The policies that come with a caller. None: there is no such set; empty: there is one, and it allows nothing."""

    identity: tuple[Attached, ...] = ()
    boundary: tuple[Attached, ...] | None = None
    session: tuple[Attached, ...] | None = None


class SessionState(msgspec.Struct, frozen=True):
    """What a session has beside its owner and its policies."""

    name: str
    """The role session name or the federated user's name; else empty."""
    tags: dict[str, str]
    transitive_keys: tuple[str, ...]
    source_identity: str | None
    provider: str | None
    chained: bool
    context: dict[str, str | tuple[str, ...]]
    """Further condition keys, in lower case."""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """An active access key, a session or a pull token. It may have expired: compare `expires_at` with the clock."""

    key_id: str
    secret: bytes
    account: AccountId
    kind: str
    """`key`, `token` (a pull token), or the kind of a session: `session`, `role`, `federated` (`SessionKind`)."""
    owner: Entity | None
    """The user or role whose permissions it has. None: the account's root."""
    policies: PolicySets
    tags: dict[str, str]
    """The principal tags: those of the owner, replaced by those of the session."""
    session_token_hash: str | None = None
    """The SHA-256, in hex, of a session's token (`sessions.token_hash`) or of a pull token's secret."""
    issued_at: float | None = None
    expires_at: float | None = None
    session: SessionState | None = None
    token_name: str | None = None
    """The name of a pull token."""
    service_linked: bool = False
    """Whether the role of a session was created by CreateServiceLinkedRole."""


class _UnknownKeyError(Exception):
    """There is no such credential at that epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Credentials:
    """Finds credentials. A key that is unknown, inactive or deleted is None in every case."""

    def __init__(self, epochs: epoch.Epochs, sealer: Sealer) -> None:
        self._db = epochs.db
        self._epochs = epochs
        self._sealer = sealer
        self._cache: epoch.ReadThroughCache[str, Credential] = epoch.ReadThroughCache(
            epochs, "credentials", _CACHED, "wide", entry_footprint
        )

    async def find(self, key_id: str) -> tuple[int, Credential | None]:
        """Return the epoch and the credential, from the cache while the epoch is unchanged."""
        try:
            return await self._cache.get(key_id, partial(self._look, key_id=key_id), await self._epochs.now())
        except _UnknownKeyError as error:
            return error.epoch, None

    async def is_known_token(self, token_id: str, secret_hash: str) -> bool:
        """Return whether that pull token was created here. It may have expired or been revoked."""
        return await self._db.read(lambda conn: rows.is_known_token(conn, token_id, secret_hash))

    async def policies_of(self, entity: Entity) -> PolicySets:
        """Return the policies of a user (with those of its groups), group or role, and its boundary."""
        return await self._db.read(lambda conn: policies_of(conn, entity))

    def _look(self, conn: Connection, key_id: str) -> tuple[int, Credential]:
        at, found = epoch.current(conn).wide, self._read(conn, key_id)
        if found is None:
            raise _UnknownKeyError(at)
        return at, found

    def _read(self, conn: Connection, key_id: str) -> Credential | None:
        if key_id.startswith(PULL_TOKEN):
            return _read_token(conn, key_id)
        if key_id.startswith(SESSION):
            return self._read_session(conn, key_id)
        row = rows.key(conn, key_id)
        if row is None:
            return None
        account = AccountId(row.account)
        owner = _owner(account, row.owner)
        return Credential(
            row.id,
            self._opened(row.id, row.secret),
            account,
            "key",
            owner,
            policies_of(conn, owner),
            {} if owner is None else identities.tags(conn, owner.id),
        )

    def _read_session(self, conn: Connection, key_id: str) -> Credential | None:
        found = rows.session(conn, key_id)
        if found is None:
            return None
        row, account = found.session, AccountId(found.session.account)
        owner, state = _owner(account, found.owner), _state(row)
        tags = {} if owner is None else identities.tags(conn, owner.id)
        return Credential(
            row.id,
            self._opened(row.id, row.secret),
            account,
            row.kind,
            owner,
            _policies_of_session(conn, row, owner),
            {**_without(tags, state.tags), **state.tags},
            row.token_hash,
            row.issued_at,
            row.expires_at,
            state,
            service_linked=found.role_service is not None,
        )

    def _opened(self, key_id: str, secret: str) -> bytes:
        return self._sealer.open(secret_purpose(key_id), secret)


def _read_token(conn: Connection, token_id: str) -> Credential | None:
    """Return a pull token: its owner, limited by the token's scope. It signs no requests, so it has no secret here."""
    row = rows.pull_token(conn, token_id)
    if row is None:
        return None
    account = AccountId(row.account)
    owner = _owner(account, row.owner)
    sets = _of_root() if owner is None else policies_of(conn, owner)
    scope = Attached(f"scope of token {row.name}", row.policy_hash, "session")
    return Credential(
        row.id,
        b"",
        account,
        "token",
        owner,
        sets._replace(session=(scope,)),
        {} if owner is None else identities.tags(conn, owner.id),
        session_token_hash=row.secret_hash,
        expires_at=row.expires_at,
        token_name=row.name,
    )


def _of_root() -> PolicySets:
    """Return the policies of a credential of the root that a session policy limits: the root may do everything."""
    administrator = aws_managed.ADMINISTRATOR
    return PolicySets((Attached(administrator.arn, administrator.default.hash, "aws-managed"),))


def policies_of(conn: Connection, owner: Entity | None) -> PolicySets:
    """Return the policies of a user (with those of its groups), group or role, and its boundary. The root has none."""
    if owner is None:
        return PolicySets()
    applied = rows.applied(conn, owner.id)
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
        # A boundary that does not exist would allow nothing.
        boundary = (managed[owner.boundary_id],) if owner.boundary_id in managed else ()
    return PolicySets(tuple(identity), boundary)


def _policies_of_session(conn: Connection, row: rows.SessionRow, owner: Entity | None) -> PolicySets:
    """Return the policies of a session's owner, and its session policies."""
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
    """Return the default versions of the managed policies that exist, by id."""
    found = {
        each: Attached(aws_managed.BY_ID[each].arn, aws_managed.BY_ID[each].default.hash, "aws-managed")
        for each in policy_ids
        if each in aws_managed.BY_ID
    }
    own = [each for each in policy_ids if each not in found]
    for each, row in managed_policies.by_ids(conn, own).items():
        found[each] = Attached(policy_arn(row.account, row.path, row.name), row.policy_hash, "user-managed")
    return found


def _owner(account: AccountId, row: rows.OwnerRow) -> Entity | None:
    """Return the owner of a credential; None for the root."""
    if row.id is None:
        return None
    # The columns of an identity are never null.
    kind, name, path, created_at = row.kind or "", row.name or "", row.path or "/", row.created_at or 0.0
    return Entity(kind, row.id, account, name, path, created_at, row.boundary_id)


def _state(row: rows.SessionRow) -> SessionState:
    context = json.loads(row.context or "{}")
    return SessionState(
        row.name,
        json.loads(row.tags or "{}"),
        tuple(json.loads(row.transitive_keys or "[]")),
        row.source_identity,
        row.provider,
        bool(row.chained),
        {key: tuple(value) if isinstance(value, list) else value for key, value in context.items()},
    )


def _without(tags: dict[str, str], replaced: dict[str, str]) -> dict[str, str]:
    """Return `tags` without the keys that `replaced` has in any case."""
    keys = {key.lower() for key in replaced}
    return {key: value for key, value in tags.items() if key.lower() not in keys}
