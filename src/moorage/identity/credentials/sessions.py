"""Temporary credentials: rows that end; of the token only its hash is kept."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import Throttling
from moorage.identity import errors
from moorage.identity.principals.unique_ids import SESSION, new_key_id, new_secret, new_token, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import accounts, credentials, identities
from moorage.store.metadata.policies import repository_policies
from moorage.store.metadata.repositories import usage

SessionKind = Literal["session", "role", "federated"]
"""Of GetSessionToken: `session`, the user or root itself; of AssumeRole and its kin: `role`; else `federated`."""


PER_ACCOUNT: Final = 200_000
"""Sessions of one account: living ones, and those that ended within the last day."""
PER_IDENTITY: Final = 50_000
"""Sessions of one user or role, or of the root, likewise: one identity alone cannot use up what the account has."""


class Session(NamedTuple):
    """What the caller of STS is told, once."""

    id: str
    """`ASIA…`"""
    secret: str
    token: str
    expires_at: float


class Sessions:
    """Makes sessions; the sweep forgets those that ended."""

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
        """A session of that user or role (None: the root) that lasts so long; it ends earlier with its user or role.

        `name`: role session name or federated user's name. `policy`, `policy_ids`: the session policy's text and the
        managed policies passed (`ManagedPolicies.find(…).id`); both None: no session policy limits it. `tags`: session
        tags, over those of the user or role; `transitive_keys` those of them that a chained session inherits.
        `context`: further condition keys (lower case) of every request of the session. NoSuchEntity when the user or
        role is gone; Throttling when it, or the account, has as many sessions as it may.
        """
        key_id, secret, token, at = new_key_id(SESSION), new_secret(), new_token(), self._clock.now()
        row: dict[str, object] = {
            "id": key_id,
            "account": account,
            "kind": kind,
            "identity_id": identity_id,
            "name": name,
            "secret": self._sealer.seal(secret_purpose(key_id), secret.encode()),
            "token_hash": token_hash(token),
            "issued_at": at,
            "expires_at": at + seconds,
            "policy_ids": None if policy_ids is None else json.dumps(list(policy_ids)),
            "tags": json.dumps(dict(tags)) if tags else None,
            "transitive_keys": json.dumps(list(transitive_keys)) if transitive_keys else None,
            "source_identity": source_identity,
            "provider": provider,
            "chained": chained,
            "context": json.dumps(dict(context)) if context else None,
        }

        def work(conn: Connection) -> None:
            if identity_id is not None and not identities.exists(conn, identity_id):
                raise errors.no_such(f"{identity_id} cannot be found.")  # deleted since it was looked up
            accounts.ensure(conn, account, "", at)
            if not usage.take(conn, usage.sessions_of_identity(account, identity_id), 1, PER_IDENTITY):
                raise Throttling
            if not usage.take(conn, usage.sessions_of_account(account), 1, PER_ACCOUNT):
                raise Throttling
            policy_hash = None if policy is None else repository_policies.keep(conn, policy)
            credentials.add_session(conn, {**row, "policy_hash": policy_hash})
            epoch.advance(conn)

        await self._db.transaction(work)
        return Session(key_id, secret, token, at + seconds)


def token_hash(token: str) -> str:
    """SHA-256 of a session token, hex: what `Credential.session_token_hash` is compared with."""
    return hashlib.sha256(token.encode()).hexdigest()
