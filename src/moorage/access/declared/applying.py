"""Changes are carried out: each whole or not at all, through the same rules as the API's calls, with their refusals."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.declared.changes import Change
from moorage.access.declared.identities import Identities
from moorage.access.declared.nouns import Nouns, Over
from moorage.access.declared.organization import POLICIES
from moorage.access.declared.registries import Registries
from moorage.access.organization import keep
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.errors import InvalidParameter, MoorageError, RepositoryNotFound
from moorage.names import AccountId, RepositoryRef
from moorage.store.metadata.database import Database
from moorage.store.metadata.within import in_one


class Author(NamedTuple):
    """Who applies a file."""

    by: str
    """For the records."""
    caller: Caller | None = None
    """None: whoever runs the machine, whom no policy binds."""
    connection: Connection | None = None


OPERATOR = Author("operator")


class NewKey(NamedTuple):
    """An access key with its secret, which is told once."""

    account: AccountId
    user: str | None
    """None: the root's."""
    id: str
    secret: str


class Outcome(NamedTuple):
    """What came of a file."""

    done: list[Change]
    """In order; where it was only planned, what would be."""
    failed: tuple[Change, MoorageError] | None = None
    """The change that was refused: then those after it were not tried."""
    keys: Sequence[NewKey] = ()


class Applier:
    """Carries changes out."""

    def __init__(self, db: Database, over: Over, check: RepositoryPolicyCheck) -> None:
        self._db = db
        self._over = over
        self._check = check

    async def apply(self, changes: Sequence[Change], author: Author) -> Outcome:
        """In order, up to the first that is refused."""
        done: list[Change] = []
        keys: list[NewKey] = []
        for change in changes:
            try:
                key = await self._carry_out(change, author)
            except MoorageError as error:
                return Outcome(done, (change, error), keys)
            done.append(change)
            keys += () if key is None else [key]
        return Outcome(done, None, keys)

    async def _carry_out(self, change: Change, author: Author) -> NewKey | None:
        # Asked in front: decisions know nothing of an open transaction.
        stored = await self._repository_policy(change, author)

        async def work(db: Database) -> NewKey | None:
            return await _made(self._over(db), change, stored, author.by)

        return await in_one(self._db, work)

    async def _repository_policy(self, change: Change, author: Author) -> str | None:
        """The policy that a change gives a repository, in its stored form."""
        wanted = change.after.policy if change.section == "repositories" and change.after is not None else None
        if wanted is None or (change.before is not None and change.before.policy == wanted):
            return None
        assert change.account is not None  # noqa: S101 - it has repositories
        ref = RepositoryRef(change.account, *change.name)
        try:
            if author.caller is None or author.connection is None:
                return (await self._check.canonicalise_for_operator(ref, wanted)).stored
            check = self._check.check_and_canonicalise
            return (await check(author.caller, author.connection, ref, wanted, False)).stored
        except RepositoryNotFound as error:  # a new one's policy cannot go on naming whoever was deleted
            raise InvalidParameter("The policy names the id of a user or role that is no more.") from error


async def _made(nouns: Nouns, change: Change, repository_policy: str | None, by: str) -> NewKey | None:
    account = change.account
    if account is None:
        if change.after is None:
            await nouns.identity.organizations.set(None, (), by=by)
        else:
            await keep(nouns.identity.organizations, change.after.document, by=by)
        return None
    identities, registries = Identities(nouns.identity, account, by), Registries(nouns, account, by)
    match change.section:
        case "accounts":
            await nouns.identity.accounts.ensure(account)
            key, secret = await nouns.identity.keys.create(account, None)
            return NewKey(account, None, key.id, secret)
        case "policies":
            await identities.policy(change)
        case "groups":
            await identities.group(change)
        case "users":
            await identities.user(change)
        case "roles":
            await identities.role(change)
        case "repositories":
            await registries.repository(change, repository_policy)
        case "registries":
            await registries.registry(change)
    return None


def documents(change: Change) -> list[tuple[str, str, policy.Kind]]:
    """The policies that a change puts in force: their aspect, text and kind."""
    if change.section == "organization":
        return _guard_rails(change)
    of_resource = policy.Kind.REGISTRY if change.section == "registries" else policy.Kind.REPOSITORY
    kinds = {"document": policy.Kind.IDENTITY, "trust": policy.Kind.TRUST, "policy": of_resource}
    found: list[tuple[str, str, policy.Kind]] = []
    for aspect, (before, after) in change.aspects.items():
        if aspect in kinds and after:
            found.append((aspect, after, kinds[aspect]))
        elif aspect == "inline" and after:
            was = before or {}
            found += [
                (f"inline/{name}", text, policy.Kind.IDENTITY)
                for name, text in sorted(after.items())
                if was.get(name) != text
            ]
    return found


def _guard_rails(change: Change) -> list[tuple[str, str, policy.Kind]]:
    before, after = ({} if one is None else json.loads(one.document) for one in (change.before, change.after))
    return [
        (f"{member}/{name}", json.dumps(said), kind)
        for member, kind in POLICIES
        for name, said in after.get(member, {}).items()
        if before.get(member, {}).get(name) != said
    ]
