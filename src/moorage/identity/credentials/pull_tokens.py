"""Pull tokens: named passwords of the data plane, with a scope and an end date; of their secret only a hash is kept.

A token belongs to a user or to the root of an account. Whoever shows it is that owner, limited by the token's scope,
which is a session policy. It ends with its date, when it is revoked, and with its owner.
"""

import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from moorage import pages
from moorage.clock import Clock
from moorage.errors import InvalidParameter, LimitExceeded, MoorageError
from moorage.identity import arns
from moorage.identity.principals.entity import USER
from moorage.identity.principals.lookup import named, record
from moorage.identity.principals.unique_ids import PULL_TOKEN, new_key_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import access_keys, accounts, identities, pull_tokens
from moorage.store.metadata.policies import repository_policies

SHORTEST: Final = 60.0
LONGEST: Final = 10 * 366 * 86_400.0
PER_ACCOUNT: Final = 1000
"""Living tokens of one account."""
ENDED_PER_ACCOUNT: Final = 1000
"""Ended tokens of one account that are kept; beyond them the oldest are forgotten."""
_FORGOTTEN_AT_ONCE: Final = 100
_AT_A_TIME: Final = 100
"""Tokens read together, of up to 20 KB each."""
MOST_PATTERNS: Final = 50

PREFIX: Final = "mrg_"
"""What every token begins with, so that scanners for leaked secrets know one."""

_TEXT: Final = re.compile(rf"{PREFIX}({PULL_TOKEN}[A-Z2-7]{{16}})_([A-Za-z0-9_-]{{43}})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+=,-]{1,31}")  # also the name of a federated user
_ACTION: Final = re.compile(r"ecr:[A-Za-z*?]{1,128}")
_PATTERN: Final = re.compile(r"[a-z0-9*?][a-z0-9._/*?-]{0,255}")
_ARN_PATTERN: Final = re.compile(r"arn:aws:ecr:[a-z0-9*?-]{1,25}:[0-9]{12}:repository/[a-z0-9*?][a-z0-9._/*?-]{0,255}")


class PullTokenNotFound(MoorageError):
    code = "PullTokenNotFoundException"

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"There is no token '{name}' in the account '{account}'.")


class PullTokenAlreadyExists(MoorageError):
    code = "PullTokenAlreadyExistsException"

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"The account '{account}' has a token '{name}' already. Revoke it first.")


class PullToken(NamedTuple):
    """A token without its secret, which is told once."""

    id: str
    name: str
    owner: str
    """ARN of the user or root whose rights it has."""
    repositories: tuple[str, ...]
    """Names or patterns of the account's repositories, or whole ARNs, as they were asked for."""
    actions: tuple[str, ...]
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None
    last_used_at: float | None


class Shown(NamedTuple):
    """What a text of a token's form says."""

    token_id: str
    secret_hash: str


class PullTokens:
    """Makes, lists and revokes tokens; `Credentials` finds whom one stands for."""

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
        """A new token of that user (None: the root), and its text. `expires_at`: seconds since the epoch.

        InvalidParameter, PullTokenAlreadyExists, LimitExceeded; NoSuchEntity when there is no such user.
        """
        at = self._clock.now()
        _check_name(name)
        if not SHORTEST <= expires_at - at <= LONGEST:
            raise InvalidParameter("A token lasts from a minute to ten years.")
        scope = scope_policy(account, repositories, actions)
        token_id, secret = new_key_id(PULL_TOKEN), secrets.token_urlsafe(32)

        def work(conn: Connection) -> str:
            user = None if user_name is None else named(conn, USER, account, user_name)
            living = pull_tokens.named(conn, account, name)
            if living is not None and living.expires_at > at:
                raise PullTokenAlreadyExists(name, account)
            if living is not None:
                pull_tokens.revoke(conn, living.id, at)
            if pull_tokens.count_living(conn, account, at) >= PER_ACCOUNT:
                raise LimitExceeded(f"An account has at most {PER_ACCOUNT} tokens.")
            accounts.ensure(conn, account, "", at)
            row = {"id": token_id, "account": account, "identity_id": None if user is None else user.id}
            asked = {"repositories": json.dumps(list(repositories)), "actions": json.dumps(list(actions))}
            times = {"created_at": at, "expires_at": expires_at, "created_by": by}
            called = {"name": name, "name_folded": identities.folded(name), "secret_hash": _hash(secret)}
            pull_tokens.add(
                conn, {**row, **called, **asked, **times, "policy_hash": repository_policies.keep(conn, scope)}
            )
            pull_tokens.forget(conn, pull_tokens.surplus(conn, account, at, ENDED_PER_ACCOUNT, _FORGOTTEN_AT_ONCE))
            record(conn, account, "PullTokenCreated", at, by, token=name, tokenId=token_id)
            return _owner_arn(account, user)

        owner = await self._db.transaction(work)
        token = PullToken(token_id, name, owner, tuple(repositories), tuple(actions), at, by, expires_at, None, None)
        return token, f"{PREFIX}{token_id}_{secret}"

    async def find(self, account: AccountId, name: str) -> PullToken | None:
        """The living or expired token of that name, whatever its case."""

        def work(conn: Connection) -> PullToken | None:
            row = pull_tokens.named(conn, account, name)
            return None if row is None else _token(conn, row)

        return await self._db.read(work)

    async def page(
        self, account: AccountId, user_name: str | None = None, *, ended: bool = False, after: str = "", limit: int
    ) -> list[PullToken]:
        """The next tokens of the account, or of that user alone, by name from `after` (`position_of` one of them) on.

        With `ended` also those that are still kept after they were revoked or expired. NoSuchEntity when there is no
        such user.
        """
        at = self._clock.now()
        name, _, token_id = after.rpartition("/")

        def work(conn: Connection) -> list[PullToken]:
            user_id = None if user_name is None else named(conn, USER, account, user_name).id
            rows = pull_tokens.page(conn, account, user_id, None if ended else at, (name, token_id), limit)
            return [_read(row, row.used_at) for row in rows]

        return await self._db.read(work)

    def each(
        self, account: AccountId, user_name: str | None = None, *, ended: bool = False, after: str = ""
    ) -> AsyncIterator[PullToken]:
        """The same, one after the other, as many as are asked for; a few are read at a time."""
        return pages.each(
            lambda start, limit: self.page(account, user_name, ended=ended, after=start, limit=limit),
            position_of,
            after,
            at_a_time=_AT_A_TIME,
        )

    async def revoke(self, account: AccountId, name: str, by: str) -> PullToken:
        """The token is refused from the next request on, in every worker. PullTokenNotFound."""
        at = self._clock.now()

        def work(conn: Connection) -> PullToken:
            row = pull_tokens.named(conn, account, name)
            if row is None:
                raise PullTokenNotFound(name, account)
            pull_tokens.revoke(conn, row.id, at)
            record(conn, account, "PullTokenRevoked", at, by, token=row.name, tokenId=row.id)
            return _token(conn, row)._replace(revoked_at=at)

        return await self._db.transaction(work)


def read_token(text: str) -> Shown | None:
    """What a password says that has a token's form; None when it has not."""
    match = _TEXT.fullmatch(text)
    return None if match is None else Shown(match[1], _hash(match[2]))


def scope_policy(account: AccountId, repositories: Sequence[str], actions: Sequence[str]) -> str:
    """The session policy that holds whoever shows a token to these actions on these repositories. InvalidParameter.

    It denies the rest explicitly: a resource policy that names the user, or everybody, is not limited by what a session
    policy merely leaves out (docs/development/policy-engine.md §2.3, step 5a).
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


def _owner_arn(account: str, user: Row[Any] | None) -> str:
    return arns.root_arn(account) if user is None else arns.identity_arn(USER.name, account, user.path, user.name)


def position_of(token: PullToken) -> str:
    """Where pages of `PullTokens.page` that come behind this one begin."""
    return f"{identities.folded(token.name)}/{token.id}"


def _token(conn: Connection, row: Row[Any]) -> PullToken:
    used = access_keys.last_use(conn, row.id)
    return _read(row, None if used is None else used.at)


def _read(row: Row[Any], used_at: float | None) -> PullToken:
    owner = arns.root_arn(row.account)
    if row.identity_id is not None:
        owner = arns.identity_arn(USER.name, row.account, row.path, row.user_name)
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
        used_at,
    )


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidParameter(
            f"'{name}' is no name of a token: 2 to 32 letters, digits and _.@+=,- beginning with a letter or digit."
        )


def _hash(secret: str) -> str:
    """SHA-256, hex: the secret is 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
