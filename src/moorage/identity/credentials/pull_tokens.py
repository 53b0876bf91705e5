"""Pull tokens: named passwords of the data plane with a scope and an expiry date. Only a hash of the secret is stored.

A token belongs to a user or to the root of an account. A client that sends it acts as that owner, limited by the
token's scope, which is a session policy. It ends when it expires, when it is revoked, and when its owner is deleted.
"""

import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events, pages
from moorage.clock import Clock
from moorage.errors import InvalidParameter, LimitExceeded, MoorageError
from moorage.events.identity import PullTokenCreated, PullTokenRevoked
from moorage.identity import arns
from moorage.identity.accounts import accounts
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import USER, Entity
from moorage.identity.principals.unique_ids import PULL_TOKEN, new_key_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities
from moorage.store.metadata.identity import pull_tokens as rows
from moorage.store.metadata.identity.pull_tokens import NewTokenRow, TokenRow
from moorage.store.metadata.policies import documents

SHORTEST: Final = 60.0
LONGEST: Final = 10 * 366 * 86_400.0
"""Seconds for which a token may be valid."""
PER_ACCOUNT: Final = 1000
"""The most valid tokens of one account."""
ENDED_PER_ACCOUNT: Final = 1000
"""How many expired and revoked tokens of one account are kept; older ones are deleted."""
MOST_PATTERNS: Final = 50
"""The most repositories, and actions, of one token."""
_PRUNED_AT_ONCE: Final = 100
_AT_A_TIME: Final = 100
"""How many tokens, of up to 20 KB each, are read together."""

PREFIX: Final = "mrg_"
"""The prefix of every token, by which scanners for leaked secrets recognize it."""

_TEXT: Final = re.compile(rf"{PREFIX}({PULL_TOKEN}[A-Z2-7]{{16}})_([A-Za-z0-9_-]{{43}})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+=,-]{1,31}")  # also the name of a federated user
_ACTION: Final = re.compile(r"ecr:[A-Za-z*?]{1,128}")
_PATTERN: Final = re.compile(r"[a-z0-9*?][a-z0-9._/*?-]{0,255}")
_ARN_PATTERN: Final = re.compile(r"arn:aws:ecr:[a-z0-9*?-]{1,25}:[0-9]{12}:repository/[a-z0-9*?][a-z0-9._/*?-]{0,255}")


class PullTokenNotFound(MoorageError):
    """There is no token with that name, or it was revoked."""

    code = "PullTokenNotFoundException"

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"There is no token '{name}' in the account '{account}'.")


class PullTokenAlreadyExists(MoorageError):
    """A valid token has that name."""

    code = "PullTokenAlreadyExistsException"

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"The account '{account}' has a token '{name}' already. Revoke it first.")


class PullToken(NamedTuple):
    """A token without its secret, which is shown once."""

    id: str
    name: str
    owner: str
    """The ARN of the user or root whose permissions it has."""
    repositories: tuple[str, ...]
    """Names or patterns of the account's repositories, or whole ARNs, as they were given."""
    actions: tuple[str, ...]
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None
    last_used_at: float | None


class PresentedToken(NamedTuple):
    """The parts of a password that has the form of a token."""

    token_id: str
    secret_hash: str


class NewPullToken(NamedTuple):
    """A token to create. Its id and secret are generated before the transaction, which may run more than once."""

    account: AccountId
    user_name: str | None
    """None: the token belongs to the root."""
    name: str
    repositories: Sequence[str]
    actions: Sequence[str]
    expires_at: float
    """Seconds since the epoch."""
    id: str
    secret: str


def create(conn: Connection, new: NewPullToken, *, by: str, at: float) -> PullToken:
    """Create a token. An expired one with the same name is revoked.

    InvalidParameter, PullTokenAlreadyExists, LimitExceeded; NoSuchEntity if there is no such user.
    """
    _check_name(new.name)
    if not SHORTEST <= new.expires_at - at <= LONGEST:
        raise InvalidParameter("A token lasts from a minute to ten years.")
    scope = scope_policy(new.account, new.repositories, new.actions)
    user = None if new.user_name is None else lookup.get(conn, USER, new.account, new.user_name)
    same_name = rows.named(conn, new.account, new.name)
    if same_name is not None:
        if same_name.expires_at > at:
            raise PullTokenAlreadyExists(new.name, new.account)
        rows.revoke(conn, same_name.id, at)
    if rows.count_valid(conn, new.account, at) >= PER_ACCOUNT:
        raise LimitExceeded(f"An account has at most {PER_ACCOUNT} tokens.")
    accounts.ensure(conn, new.account, by=by, at=at)
    row = NewTokenRow(
        id=new.id,
        account=new.account,
        identity_id=None if user is None else user.id,
        name=new.name,
        secret_hash=_hash(new.secret),
        policy_hash=documents.keep(conn, scope),
        repositories=json.dumps(list(new.repositories)),
        actions=json.dumps(list(new.actions)),
        created_at=at,
        created_by=by,
        expires_at=new.expires_at,
    )
    rows.add(conn, row)
    rows.forget(conn, rows.surplus(conn, new.account, at, ENDED_PER_ACCOUNT, _PRUNED_AT_ONCE))
    events.record(conn, PullTokenCreated(at=at, account=new.account, by=by, token_id=new.id, name=new.name))
    return PullToken(
        new.id,
        new.name,
        _owner_arn(new.account, user),
        tuple(new.repositories),
        tuple(new.actions),
        at,
        by,
        new.expires_at,
        None,
        None,
    )


def revoke(conn: Connection, account: AccountId, name: str, *, by: str, at: float) -> PullToken:
    """Revoke a token, which is refused from the next request on; return it. PullTokenNotFound."""
    row = rows.named(conn, account, name)
    if row is None:
        raise PullTokenNotFound(name, account)
    rows.revoke(conn, row.id, at)
    events.record(conn, PullTokenRevoked(at=at, account=account, by=by, token_id=row.id, name=row.name))
    return _token(row)._replace(revoked_at=at)


class PullTokens:
    """Creates, lists and revokes tokens. `Credentials` finds the owner of one."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def create(
        self,
        account: AccountId,
        user_name: str | None,
        name: str,
        repositories: Sequence[str],
        actions: Sequence[str],
        expires_at: float,
        by: str,
    ) -> tuple[PullToken, str]:
        """Create a token, as `create` does; return it and its text."""
        token_id, secret, at = new_key_id(PULL_TOKEN), secrets.token_urlsafe(32), self._clock.now()
        new = NewPullToken(account, user_name, name, repositories, actions, expires_at, token_id, secret)
        token = await self._db.transaction(lambda conn: create(conn, new, by=by, at=at))
        return token, f"{PREFIX}{token_id}_{secret}"

    async def find(self, account: AccountId, name: str) -> PullToken | None:
        """Return the valid or expired token with that name, in any case, or None."""

        def work(conn: Connection) -> PullToken | None:
            row = rows.named(conn, account, name)
            return None if row is None else _token(row)

        return await self._db.read(work)

    async def page(
        self, account: AccountId, user_name: str | None = None, *, ended: bool = False, after: str = "", limit: int
    ) -> list[PullToken]:
        """Return up to `limit` tokens of the account, or of that user, by name, after the `position_of` one of them.

        `ended`: also the expired and revoked tokens that are still stored. NoSuchEntity if there is no such user.
        """
        at = self._clock.now()
        name, _, token_id = after.rpartition("/")

        def work(conn: Connection) -> list[PullToken]:
            user_id = None if user_name is None else lookup.get(conn, USER, account, user_name).id
            found = rows.page(conn, account, user_id, None if ended else at, (name, token_id), limit)
            return list(map(_token, found))

        return await self._db.read(work)

    def each(
        self, account: AccountId, user_name: str | None = None, *, ended: bool = False, after: str = ""
    ) -> AsyncIterator[PullToken]:
        """Iterate over the tokens that `page` returns, reading some at a time."""
        return pages.each(
            lambda start, limit: self.page(account, user_name, ended=ended, after=start, limit=limit),
            position_of,
            after,
            at_a_time=_AT_A_TIME,
        )

    async def revoke(self, account: AccountId, name: str, by: str) -> PullToken:
        """Revoke a token, as `revoke` does."""
        at = self._clock.now()
        return await self._db.transaction(lambda conn: revoke(conn, account, name, by=by, at=at))


def read_token(text: str) -> PresentedToken | None:
    """Return the parts of a password that has the form of a token, or None."""
    match = _TEXT.fullmatch(text)
    return None if match is None else PresentedToken(match[1], _hash(match[2]))


def scope_policy(account: AccountId, repositories: Sequence[str], actions: Sequence[str]) -> str:
    """Return the session policy that limits a token to these actions on these repositories. InvalidParameter.

    It denies everything else explicitly: a resource policy that names the user, or everybody, is not limited by what a
    session policy does not allow (docs/development/policy-engine.md §2.3, step 5a).
    """
    if not 0 < len(repositories) <= MOST_PATTERNS:
        raise InvalidParameter(f"A token is for 1 to {MOST_PATTERNS} repositories or patterns.")
    if not 0 < len(actions) <= MOST_PATTERNS:
        raise InvalidParameter(f"A token is for 1 to {MOST_PATTERNS} actions.")
    for action in actions:
        if _ACTION.fullmatch(action) is None:
            raise InvalidParameter(f"'{action}' is no action of ECR, such as ecr:BatchGetImage or ecr:Describe*.")
    resources = [_resource(account, each) for each in repositories]
    statements = [
        {"Sid": "Scope", "Effect": "Allow", "Action": list(actions), "Resource": resources},
        {"Sid": "NoOtherAction", "Effect": "Deny", "NotAction": list(actions), "Resource": "*"},
        {"Sid": "NoOtherRepository", "Effect": "Deny", "Action": "*", "NotResource": resources},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _resource(account: AccountId, pattern: str) -> str:
    if _ARN_PATTERN.fullmatch(pattern) is not None:
        return pattern
    if _PATTERN.fullmatch(pattern) is None:
        raise InvalidParameter(f"'{pattern}' is no repository, pattern such as team/*, or ARN of one.")
    return f"arn:aws:ecr:*:{account}:repository/{pattern}"


def position_of(token: PullToken) -> str:
    """Return the position of a token in the pages of `PullTokens.page`."""
    return f"{identities.folded(token.name)}/{token.id}"


def _owner_arn(account: str, user: Entity | None) -> str:
    return arns.root_arn(account) if user is None else user.arn


def _token(row: TokenRow) -> PullToken:
    owner = arns.root_arn(row.account)
    if row.user_name is not None and row.user_path is not None:
        owner = arns.identity_arn(USER.name, row.account, row.user_path, row.user_name)
    return PullToken(
        row.id,
        row.name,
        owner,
        tuple(json.loads(row.repositories)),
        tuple(json.loads(row.actions)),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.revoked_at,
        row.used_at,
    )


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidParameter(
            f"'{name}' is no name of a token: 2 to 32 letters, digits and _.@+=,- beginning with a letter or digit."
        )


def _hash(secret: str) -> str:
    """Return the SHA-256 in hex. The secret is 256 random bits, so a slow hash is not needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
