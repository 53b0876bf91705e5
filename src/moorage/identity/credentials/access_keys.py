"""Long-term access keys of users and of an account's root."""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.identity import errors
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import USER
from moorage.identity.principals.unique_ids import ACCESS_KEY, SESSION, new_key_id, new_secret, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata import epoch
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, accounts, credentials

KEYS_PER_USER: Final = 2


class AccessKey(NamedTuple):
    """Without its secret, which is told once."""

    id: str
    user_name: str | None
    """None: a key of the root."""
    active: bool
    created_at: float


class KeyUse(NamedTuple):
    """Whose a key is, and its last use."""

    account: AccountId
    user_name: str | None
    """None: the root's."""
    used: access_keys.Use | None
    """None: never."""


class AccessKeys:
    """Keys by owner: `user_name` None is the account's root. Unknown users and keys raise NoSuchEntity."""

    def __init__(self, db: Database, sealer: Sealer, clock: Clock) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock

    async def create(self, account: AccountId, user_name: str | None) -> tuple[AccessKey, str]:
        """A new active key and its secret. LimitExceeded when the owner has two, active or not."""
        key_id, secret, at = new_key_id(ACCESS_KEY), new_secret(), self._clock.now()
        sealed = self._sealer.seal(secret_purpose(key_id), secret.encode())

        def work(conn: Connection) -> str | None:
            user_id, name = _owner(conn, account, user_name)
            if len(access_keys.of_owner(conn, account, user_id)) >= KEYS_PER_USER:
                raise errors.limit_exceeded("AccessKeysPerUser", KEYS_PER_USER)
            accounts.ensure(conn, account, "", at)
            access_keys.add(conn, key_id, account, user_id, sealed, at)
            epoch.advance(conn)
            return name

        return AccessKey(key_id, await self._db.transaction(work), True, at), secret

    async def ensure_root(self, account: AccountId, name: str, key_id: str, secret: str) -> bool:
        """The account and this key of its root are there from here on; whether the key is new.

        For callers who keep the secret before there is a key: they may die in between and try again. A key that was
        deleted stays deleted, and is not new. LimitExceeded when the root has two others.
        """
        at = self._clock.now()
        sealed = self._sealer.seal(secret_purpose(key_id), secret.encode())

        def work(conn: Connection) -> bool:
            if access_keys.is_known(conn, key_id):
                return False
            if len(access_keys.of_owner(conn, account, None)) >= KEYS_PER_USER:
                raise errors.limit_exceeded("AccessKeysPerUser", KEYS_PER_USER)
            accounts.ensure(conn, account, name, at)
            access_keys.add(conn, key_id, account, None, sealed, at)
            epoch.advance(conn)
            return True

        return await self._db.transaction(work)

    async def list(self, account: AccountId, user_name: str | None) -> list[AccessKey]:
        """The owner's keys, oldest first."""

        def work(conn: Connection) -> list[AccessKey]:
            user_id, name = _owner(conn, account, user_name)
            return [
                AccessKey(key, name, active, at) for key, active, at in access_keys.of_owner(conn, account, user_id)
            ]

        return await self._db.read(work)

    async def set_active(self, account: AccountId, user_name: str | None, key_id: str, active: bool) -> None:
        """An inactive key is refused until it is made active again."""

        def work(conn: Connection) -> None:
            user_id, _ = _owner(conn, account, user_name)
            if not access_keys.set_active(conn, account, user_id, key_id, active):
                raise errors.no_key(key_id)
            epoch.advance(conn)

        await self._db.transaction(work)

    async def last_use(self, key_id: str) -> KeyUse | None:
        """Whose the key is and when it was used last; None when there is no such living key."""

        def work(conn: Connection) -> KeyUse | None:
            row = access_keys.find(conn, key_id)
            if row is None:
                return None
            return KeyUse(AccountId(row.account), row.user_name, access_keys.last_use(conn, key_id))

        return await self._db.read(work)

    async def account_of(self, key_id: str) -> AccountId | None:
        """Whose that living key or session is."""

        def work(conn: Connection) -> AccountId | None:
            row = credentials.session(conn, key_id) if key_id.startswith(SESSION) else access_keys.find(conn, key_id)
            return None if row is None else AccountId(row.account)

        return await self._db.read(work)

    async def delete(self, account: AccountId, user_name: str | None, key_id: str) -> None:
        """The key is refused for ever; its id is given to no other."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            user_id, _ = _owner(conn, account, user_name)
            if not access_keys.remove(conn, account, user_id, key_id, at):
                raise errors.no_key(key_id)
            epoch.advance(conn)

        await self._db.transaction(work)


def _owner(conn: Connection, account: AccountId, user_name: str | None) -> tuple[str | None, str | None]:
    """Id and name of the user, None twice for the root."""
    if user_name is None:
        return None, None
    row = lookup.named(conn, USER, account, user_name)
    return row.id, row.name
