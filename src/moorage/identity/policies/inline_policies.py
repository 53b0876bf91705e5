"""The inline policies of users, groups and roles."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity import errors
from moorage.identity.principals.entity import Kind
from moorage.identity.principals.lookup import named, record
from moorage.identity.principals.roles import modifiable
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies

CHARACTERS: Final = 512 << 10
"""Of all inline policies of an identity, white space counted: IAM does not say what bounds this. One answer of
GetAccountAuthorizationDetails has them all, percent-encoded."""
_SPACE: Final = re.compile(r"\s+")


class PolicyState(NamedTuple):
    """A policy as it was from `at` on; `hash` None once it was deleted."""

    hash: str | None
    at: float
    by: str


class InlinePolicies:
    """Inline policies by owner (kind, account, name) and policy name. NoSuchEntity for an owner that is not there."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put(self, kind: Kind, account: AccountId, name: str, policy_name: str, text: str, by: str) -> None:
        """Set a policy to `text`, which the caller has found to be one. LimitExceeded."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = _changeable(conn, kind, account, name)
            texts = {**identity_policies.inline_texts(conn, row.id), policy_name: text}
            if sum(len(_SPACE.sub("", each)) for each in texts.values()) > kind.inline_characters:
                raise errors.over_limit(
                    f"Maximum policy size of {kind.inline_characters} bytes exceeded for {kind.name} {row.name}"
                )
            if sum(map(len, texts.values())) > CHARACTERS:
                raise errors.over_limit(
                    f"The policies of {kind.name} {row.name} have more than {CHARACTERS} characters together, "
                    "white space included"
                )
            digest = identity_policies.put(conn, row.id, policy_name, text)
            identities.remember(conn, account, row.id, "inline", policy_name, digest, at, by)
            record(conn, account, f"{kind.title}PolicyPut", at, by, identity_id=row.id, policy=policy_name)

        await self._db.transaction(work)

    async def delete(self, kind: Kind, account: AccountId, name: str, policy_name: str, by: str) -> None:
        """NoSuchEntity when there is no such policy."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            row = _changeable(conn, kind, account, name)
            if not identity_policies.remove(conn, row.id, policy_name):
                raise _no_policy(kind, policy_name)
            identities.remember(conn, account, row.id, "inline", policy_name, None, at, by)
            record(conn, account, f"{kind.title}PolicyDeleted", at, by, identity_id=row.id, policy=policy_name)

        await self._db.transaction(work)

    async def text(self, kind: Kind, account: AccountId, name: str, policy_name: str) -> tuple[str, str]:
        """The owner's name in its own spelling, and the policy as it was given. NoSuchEntity."""

        def work(conn: Connection) -> tuple[str, str]:
            row = named(conn, kind, account, name)
            texts = identity_policies.inline_texts(conn, row.id)
            if policy_name not in texts:
                raise _no_policy(kind, policy_name)
            return row.name, texts[policy_name]

        return await self._db.read(work)

    async def names(self, kind: Kind, account: AccountId, name: str) -> list[str]:
        """The names of the owner's policies, in order."""
        return await self._db.read(
            lambda conn: [each for each, _ in identity_policies.inline(conn, named(conn, kind, account, name).id)]
        )

    async def history(self, identity_id: str, policy_name: str) -> Sequence[PolicyState]:
        """What that policy has been, oldest first."""
        states = await self._db.read(lambda conn: identities.history(conn, identity_id, "inline", policy_name))
        return [PolicyState(*state) for state in states]


def _changeable(conn: Connection, kind: Kind, account: AccountId, name: str) -> Any:
    return modifiable(conn, account, name) if kind.name == "role" else named(conn, kind, account, name)


def _no_policy(kind: Kind, policy_name: str) -> QueryError:
    return errors.no_such(f"The {kind.name} policy with name {policy_name} cannot be found.")
