"""What a key id stands for: secret, owner, policies; found in one read and cached while the epoch stands still."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from moorage.identity.unique_ids import SESSION, secret_purpose
from moorage.identity.user import User
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch, identities
from moorage.store.metadata.database import Database

_CACHED: Final = 10_000
"""Key ids remembered, known or not; past it the cache starts anew."""


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A living access key or a session (which may be over: compare `expires_at` with the clock)."""

    key_id: str
    secret: bytes
    account: AccountId
    user: User | None
    """None: the account's root."""
    session_token_hash: str | None = None
    """Of a session, hex SHA-256 (`sessions.token_hash`)."""
    issued_at: float | None = None
    expires_at: float | None = None
    policies: tuple[tuple[str, str], ...] = ()
    """Name and document hash of the user's inline policies."""


class Credentials:
    """Finds credentials. A key unknown, inactive or deleted is None alike."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._cache: dict[str, Credential | None] = {}
        self._epoch = -1
        self._seen: int | None = None

    async def find(self, key_id: str) -> tuple[int, Credential | None]:
        """The epoch and the credential as they stand now.

        Where the database can tell cheaply that nothing was committed, from memory; after a commit the epoch alone is
        read again, and while it stands still memory is good. Else one query for both.
        """
        changed = self._db.changed()
        if changed is not None:
            if changed != self._seen:
                self._keep_epoch(await self._db.read(epoch.current))
                self._seen = changed
            if key_id in self._cache:
                return self._epoch, self._cache[key_id]
        temporary = key_id.startswith(SESSION)
        rows = await self._db.read(lambda conn: identities.credential(conn, key_id, temporary=temporary))
        found = self._credential(rows)
        at_epoch: int = rows[0].epoch
        if changed is not None:
            self._keep_epoch(at_epoch)
            if at_epoch == self._epoch:
                if len(self._cache) >= _CACHED:
                    self._cache.clear()
                self._cache[key_id] = found
        return at_epoch, found

    def _keep_epoch(self, value: int) -> None:
        """Epochs only rise: an older answer that arrives late changes nothing."""
        if value > self._epoch:
            self._cache.clear()
            self._epoch = value

    def _credential(self, rows: Sequence[Row[Any]]) -> Credential | None:
        row = rows[0]
        if row.id is None:
            return None
        account = AccountId(row.account)
        user = None
        if row.user_id is not None:
            user = User(row.user_id, account, row.name, row.path, row.user_created_at)
        return Credential(
            row.id,
            self._sealer.open(secret_purpose(row.id), row.secret),
            account,
            user,
            row.token_hash,
            row.issued_at,
            row.expires_at,
            tuple((each.policy_name, each.policy_hash) for each in rows if each.policy_name is not None),
        )
