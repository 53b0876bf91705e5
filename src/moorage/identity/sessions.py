"""Temporary credentials: rows that end; of the token only its hash is kept."""

import hashlib
from typing import NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity.unique_ids import SESSION, new_key_id, new_secret, new_token, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch, identities
from moorage.store.metadata.database import Database


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

    async def create(self, account: AccountId, user_id: str | None, seconds: int) -> Session:
        """A session of that user (None: the root) that lasts so long, and ends earlier when its user is deleted."""
        key_id, secret, token, at = new_key_id(SESSION), new_secret(), new_token(), self._clock.now()
        row = {
            "id": key_id,
            "account": account,
            "user_id": user_id,
            "secret": self._sealer.seal(secret_purpose(key_id), secret.encode()),
            "token_hash": token_hash(token),
            "issued_at": at,
            "expires_at": at + seconds,
        }

        def work(conn: Connection) -> None:
            identities.ensure_account(conn, account, "", at)
            identities.add_session(conn, row)
            epoch.advance(conn)

        await self._db.transaction(work)
        return Session(key_id, secret, token, at + seconds)


def token_hash(token: str) -> str:
    """SHA-256 of a session token, hex: what `Credential.session_token_hash` is compared with."""
    return hashlib.sha256(token.encode()).hexdigest()
