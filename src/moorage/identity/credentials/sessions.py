"""Temporary credentials: rows that expire. Of the session token only a hash is stored."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.errors import Throttling
from moorage.events.identity import SessionCreated
from moorage.identity import errors
from moorage.identity.accounts import accounts
from moorage.identity.principals.unique_ids import SESSION, new_key_id, new_secret, new_token, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import credentials, identities
from moorage.store.metadata.identity.credentials import SessionRow
from moorage.store.metadata.policies import documents
from moorage.store.metadata.repositories import usage

SessionKind = Literal["session", "role", "federated"]
"""`session`: of GetSessionToken, acts as the user or root itself. `role`: of AssumeRole and similar operations.
`federated`: of GetFederationToken."""


PER_ACCOUNT: Final = 200_000
"""The most sessions of one account: those that are valid, and those that expired within the last day."""
PER_IDENTITY: Final = 50_000
"""The most sessions of one user or role, or of the root, so that one identity cannot use up the account's quota."""


class Session(NamedTuple):
    """What the caller of STS receives, once."""

    id: str
    """`ASIA…`"""
    secret: str
    token: str
    expires_at: float


def add(conn: Connection, row: SessionRow, identity_id: str | None, policy: str | None, *, by: str) -> None:
    """Add a session of that user or role; None: of the root. `policy`: the text of its inline session policy.

    NoSuchEntity if the identity does not exist; Throttling if it or the account has reached its quota.
    """
    account = AccountId(row.account)
    if identity_id is None:
        accounts.ensure(conn, account, by=by, at=row.issued_at)
    elif not identities.exists(conn, identity_id):
        raise errors.no_such(f"{identity_id} cannot be found.")  # deleted since it was looked up
    if not usage.take(conn, usage.sessions_of_identity(account, identity_id), 1, PER_IDENTITY):
        raise Throttling
    if not usage.take(conn, usage.sessions_of_account(account), 1, PER_ACCOUNT):
        raise Throttling
    policy_hash = None if policy is None else documents.keep(conn, policy)
    credentials.add_session(conn, row._replace(policy_hash=policy_hash), identity_id)
    events.record(
        conn, SessionCreated(at=row.issued_at, account=account, by=by, key_id=row.id, identity_id=identity_id)
    )


class Sessions:
    """Creates sessions. A job deletes those that have expired."""

    def __init__(self, db: Database, sealer: Sealer, clock: Clock) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock

    async def create(
        self,
        account: AccountId,
        identity_id: str | None,
        seconds: int,
        *,
        by: str,
        kind: SessionKind = "session",
        name: str = "",
        policy: str | None = None,
        policy_ids: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        transitive_keys: Sequence[str] = (),
        source_identity: str | None = None,
        provider: str | None = None,
        chained: bool = False,
        context: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Session:
        """Create a session of that user or role, or (None) of the root, that is valid for so many seconds.

        It ends earlier if its user or role is deleted. `name`: the role session name or the federated user's name.
        `policy`, `policy_ids`: the text of the session policy, and the ids of the managed policies that were passed
        (`ManagedPolicies.find(…).id`); if both are None, no session policy limits the session. `tags`: session tags,
        which replace tags of the user or role with the same keys; `transitive_keys`: the keys of the session tags that
        a chained session inherits. `context`: further condition keys (in lower case) of every request of the session.
        Raises as `add` does.
        """
        key_id, secret, token, at = new_key_id(SESSION), new_secret(), new_token(), self._clock.now()
        row = SessionRow(
            id=key_id,
            account=account,
            kind=kind,
            name=name,
            secret=self._sealer.seal(secret_purpose(key_id), secret.encode()),
            token_hash=token_hash(token),
            issued_at=at,
            expires_at=at + seconds,
            policy_hash=None,
            policy_ids=None if policy_ids is None else json.dumps(list(policy_ids)),
            tags=json.dumps(dict(tags)) if tags else None,
            transitive_keys=json.dumps(list(transitive_keys)) if transitive_keys else None,
            source_identity=source_identity,
            provider=provider,
            chained=chained,
            context=json.dumps(dict(context)) if context else None,
        )
        await self._db.transaction(lambda conn: add(conn, row, identity_id, policy, by=by))
        return Session(key_id, secret, token, at + seconds)


def token_hash(token: str) -> str:
    """Return the SHA-256 of a session token, in hex, which `Credential.session_token_hash` is compared with."""
    return hashlib.sha256(token.encode()).hexdigest()
