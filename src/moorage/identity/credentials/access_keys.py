"""Long-term access keys of users and of an account's root: the rules, and the class that runs them in transactions."""

from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.events.identity import AccessKeyCreated, AccessKeyDeleted, AccessKeyStatusChanged
from moorage.identity import errors
from moorage.identity.accounts import accounts
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import USER
from moorage.identity.principals.unique_ids import ACCESS_KEY, SESSION, new_key_id, new_secret, secret_purpose
from moorage.names import AccountId
from moorage.sealing import Sealer
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys as rows
from moorage.store.metadata.identity import credentials

KEYS_PER_USER: Final = 2


class AccessKey(NamedTuple):
    """An access key without its secret, which is shown once."""

    id: str
    user_name: str | None
    """None: a key of the root."""
    active: bool
    created_at: float


class KeyUse(NamedTuple):
    """The owner of a key, and its last use."""

    account: AccountId
    user_name: str | None
    """None: a key of the root."""
    used: rows.Use | None
    """None: never used."""


class NewKey(NamedTuple):
    """A key to create. It is generated before the transaction, which may run more than once."""

    id: str
    secret: str
    sealed: str
    """The secret as it is stored."""

    @classmethod
    def generate(cls, sealer: Sealer) -> "NewKey":
        """Return a key with a new id and secret."""
        return cls.of(sealer, new_key_id(ACCESS_KEY), new_secret())

    @classmethod
    def of(cls, sealer: Sealer, key_id: str, secret: str) -> "NewKey":
        """Return a key with this id and secret."""
        return cls(key_id, secret, sealer.seal(secret_purpose(key_id), secret.encode()))


def create(
    conn: Connection, account: AccountId, user_name: str | None, new: NewKey, *, by: str, at: float
) -> AccessKey:
    """Add an active key of that user; None: of the root. NoSuchEntity; LimitExceeded if the owner has two, active or
    not."""
    owner = _owner(conn, account, user_name)
    _check_quota(conn, account, owner.id)
    accounts.ensure(conn, account, by=by, at=at)
    rows.add(conn, new.id, account, owner.id, new.sealed, at)
    events.record(conn, AccessKeyCreated(at=at, account=account, by=by, user_id=owner.id, key_id=new.id))
    return AccessKey(new.id, owner.name, True, at)


def ensure_root(conn: Connection, account: AccountId, name: str, new: NewKey, *, by: str, at: float) -> bool:
    """Create the account and this key of its root unless they exist; return whether the key is new.

    A key that was deleted stays deleted, and is not new. LimitExceeded if the root has two others.
    """
    if rows.is_known(conn, new.id):
        return False
    _check_quota(conn, account, None)
    accounts.ensure(conn, account, name, by=by, at=at)
    rows.add(conn, new.id, account, None, new.sealed, at)
    events.record(conn, AccessKeyCreated(at=at, account=account, by=by, user_id=None, key_id=new.id))
    return True


def set_active(
    conn: Connection, account: AccountId, user_name: str | None, key_id: str, active: bool, *, by: str, at: float
) -> None:
    """Activate or deactivate a key. An inactive key is refused. NoSuchEntity."""
    owner = _owner(conn, account, user_name)
    if not rows.set_active(conn, account, owner.id, key_id, active):
        raise errors.no_key(key_id)
    events.record(
        conn, AccessKeyStatusChanged(at=at, account=account, by=by, user_id=owner.id, key_id=key_id, active=active)
    )


def delete(conn: Connection, account: AccountId, user_name: str | None, key_id: str, *, by: str, at: float) -> None:
    """Delete a key. Its id is never given to another key. NoSuchEntity."""
    owner = _owner(conn, account, user_name)
    if not rows.remove(conn, account, owner.id, key_id, at):
        raise errors.no_key(key_id)
    events.record(conn, AccessKeyDeleted(at=at, account=account, by=by, user_id=owner.id, key_id=key_id))


def list_of(conn: Connection, account: AccountId, user_name: str | None) -> list[AccessKey]:
    """Return the keys of that user, or of the root, oldest first. NoSuchEntity."""
    owner = _owner(conn, account, user_name)
    found = rows.of_owner(conn, account, owner.id)
    return [AccessKey(each.id, owner.name, each.active, each.created_at) for each in found]


class AccessKeys:
    """Keys by owner: `user_name` None is the account's root. Unknown users and keys raise NoSuchEntity."""

    def __init__(self, db: Database, sealer: Sealer, clock: Clock) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock

    async def create(self, account: AccountId, user_name: str | None, *, by: str) -> tuple[AccessKey, str]:
        """Create a key, as `create` does; return it and its secret."""
        new, at = NewKey.generate(self._sealer), self._clock.now()
        return await self._db.transaction(lambda conn: create(conn, account, user_name, new, by=by, at=at)), new.secret

    async def ensure_root(self, account: AccountId, name: str, key_id: str, secret: str, *, by: str) -> bool:
        """Create the account and this key of its root, as `ensure_root` does.

        For callers who store the secret before the key exists: they may die in between and try again.
        """
        new, at = NewKey.of(self._sealer, key_id, secret), self._clock.now()
        return await self._db.transaction(lambda conn: ensure_root(conn, account, name, new, by=by, at=at))

    async def list(self, account: AccountId, user_name: str | None) -> list[AccessKey]:
        """Return the owner's keys, oldest first."""
        return await self._db.read(lambda conn: list_of(conn, account, user_name))

    async def set_active(
        self, account: AccountId, user_name: str | None, key_id: str, active: bool, *, by: str
    ) -> None:
        """Activate or deactivate a key, as `set_active` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: set_active(conn, account, user_name, key_id, active, by=by, at=at))

    async def last_use(self, key_id: str) -> KeyUse | None:
        """Return the owner of a key and its last use; None if there is no such key."""

        def work(conn: Connection) -> KeyUse | None:
            row = rows.find(conn, key_id)
            if row is None:
                return None
            return KeyUse(AccountId(row.account), row.user_name, rows.last_use(conn, key_id))

        return await self._db.read(work)

    async def account_of(self, key_id: str) -> AccountId | None:
        """Return the account of a key or session; None if there is no such key."""

        def work(conn: Connection) -> AccountId | None:
            if key_id.startswith(SESSION):
                found = credentials.session(conn, key_id)
                return None if found is None else AccountId(found.session.account)
            row = rows.find(conn, key_id)
            return None if row is None else AccountId(row.account)

        return await self._db.read(work)

    async def delete(self, account: AccountId, user_name: str | None, key_id: str, *, by: str) -> None:
        """Delete a key, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete(conn, account, user_name, key_id, by=by, at=at))


class _Owner(NamedTuple):
    """The user who owns a key; both fields are None for the root."""

    id: str | None
    name: str | None


def _owner(conn: Connection, account: AccountId, user_name: str | None) -> _Owner:
    if user_name is None:
        return _Owner(None, None)
    user = lookup.get(conn, USER, account, user_name)
    return _Owner(user.id, user.name)


def _check_quota(conn: Connection, account: AccountId, user_id: str | None) -> None:
    if len(rows.of_owner(conn, account, user_id)) >= KEYS_PER_USER:
        raise errors.limit_exceeded("AccessKeysPerUser", KEYS_PER_USER)
