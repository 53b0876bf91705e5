"""The inline policies of users, groups and roles: the rules, and the class that runs them in transactions."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage import events
from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.events.identity import InlinePolicyDeleted, InlinePolicyPut
from moorage.identity import errors
from moorage.identity.principals import lookup
from moorage.identity.principals.entity import Kind
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies

CHARACTERS: Final = 512 << 10
"""The most characters of all inline policies of an identity with white space, for which IAM documents no limit. One
response of GetAccountAuthorizationDetails contains them all, percent-encoded."""
_SPACE: Final = re.compile(r"\s+")


class PolicyState(NamedTuple):
    """A policy in its history: the hash of its document from `at` on; None: it was deleted."""

    hash: str | None
    at: float
    by: str


def put(
    conn: Connection, kind: Kind, account: AccountId, name: str, policy_name: str, text: str, *, by: str, at: float
) -> None:
    """Set a policy of the user, group or role to `text`, which the caller has parsed.

    NoSuchEntity, LimitExceeded, UnmodifiableEntity.
    """
    owner = lookup.modifiable(conn, kind, account, name)
    texts = {**identity_policies.inline_texts(conn, owner.id), policy_name: text}
    if sum(len(_SPACE.sub("", each)) for each in texts.values()) > kind.inline_characters:
        raise errors.over_limit(
            f"Maximum policy size of {kind.inline_characters} bytes exceeded for {kind.name} {owner.name}"
        )
    if sum(map(len, texts.values())) > CHARACTERS:
        raise errors.over_limit(
            f"The policies of {kind.name} {owner.name} have more than {CHARACTERS} characters together, "
            "white space included"
        )
    digest = identity_policies.put(conn, owner.id, policy_name, text)
    identities.remember(conn, account, owner.id, "inline", policy_name, digest, at, by)
    events.record(conn, InlinePolicyPut(at=at, account=account, by=by, identity_id=owner.id, policy_name=policy_name))


def delete(
    conn: Connection, kind: Kind, account: AccountId, name: str, policy_name: str, *, by: str, at: float
) -> None:
    """Delete a policy of the user, group or role. NoSuchEntity, UnmodifiableEntity."""
    owner = lookup.modifiable(conn, kind, account, name)
    if not identity_policies.remove(conn, owner.id, policy_name):
        raise _no_policy(kind, policy_name)
    identities.remember(conn, account, owner.id, "inline", policy_name, None, at, by)
    events.record(
        conn, InlinePolicyDeleted(at=at, account=account, by=by, identity_id=owner.id, policy_name=policy_name)
    )


class InlinePolicies:
    """Inline policies by owner (kind, account, name) and policy name. NoSuchEntity if there is no such owner."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put(self, kind: Kind, account: AccountId, name: str, policy_name: str, text: str, by: str) -> None:
        """Set a policy, as `put` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: put(conn, kind, account, name, policy_name, text, by=by, at=at))

    async def delete(self, kind: Kind, account: AccountId, name: str, policy_name: str, by: str) -> None:
        """Delete a policy, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete(conn, kind, account, name, policy_name, by=by, at=at))

    async def text(self, kind: Kind, account: AccountId, name: str, policy_name: str) -> tuple[str, str]:
        """Return the owner's name as it was created, and the text of the policy. NoSuchEntity."""

        def work(conn: Connection) -> tuple[str, str]:
            owner = lookup.get(conn, kind, account, name)
            texts = identity_policies.inline_texts(conn, owner.id)
            if policy_name not in texts:
                raise _no_policy(kind, policy_name)
            return owner.name, texts[policy_name]

        return await self._db.read(work)

    async def names(self, kind: Kind, account: AccountId, name: str) -> list[str]:
        """Return the names of the owner's policies, in order."""
        return await self._db.read(
            lambda conn: identity_policies.inline_names(conn, lookup.get(conn, kind, account, name).id)
        )

    async def history(self, identity_id: str, policy_name: str) -> Sequence[PolicyState]:
        """Return every state of that policy, oldest first."""
        states = await self._db.read(lambda conn: identities.history(conn, identity_id, "inline", policy_name))
        return [PolicyState(*state) for state in states]


def _no_policy(kind: Kind, policy_name: str) -> QueryError:
    return errors.no_such(f"The {kind.name} policy with name {policy_name} cannot be found.")
