"""Managed policies: an account's own, with their versions, and those of AWS.

The rules are functions of a connection; the class runs them in transactions.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection

from moorage import events, pages
from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.events.identity import (
    DefaultPolicyVersionSet,
    ManagedPolicyCreated,
    ManagedPolicyDeleted,
    PolicyVersionCreated,
    PolicyVersionDeleted,
)
from moorage.identity import arns, errors
from moorage.identity.accounts import accounts
from moorage.identity.arns import policy_arn
from moorage.identity.policies import aws_managed
from moorage.identity.policies.aws_managed import AwsManaged
from moorage.identity.principals.unique_ids import MANAGED_POLICY, new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies
from moorage.store.metadata.identity import managed_policies as rows
from moorage.store.metadata.policies import documents

VERSIONS: Final = 5
"""The most versions of one policy (IAM's quota)."""
PER_ACCOUNT: Final = 1500
"""The most policies of one account (IAM's quota)."""
CHARACTERS: Final = 6144
"""The most characters of one version, without white space (IAM's quota)."""

Owner = Literal["account", "aws"]
Usage = Literal["attached", "bounding"]

_AT_A_TIME: Final = 50
_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
_SPACE: Final = re.compile(r"\s+")


class ManagedPolicy(NamedTuple):
    """A managed policy, the account's or AWS's."""

    id: str
    """`ANPA…`"""
    arn: str
    name: str
    path: str
    description: str
    default_version: int
    hash: str
    """The hash of the default version's document."""
    created_at: float
    updated_at: float
    attached: int = 0
    """How many users, groups and roles of the account it is attached to."""
    bounding: int = 0
    """How many users and roles have it as their permissions boundary."""
    is_aws: bool = False


class PolicyVersion(NamedTuple):
    """A version of a managed policy."""

    number: int
    text: str
    is_default: bool
    created_at: float


class NewPolicy(NamedTuple):
    """A managed policy to create."""

    account: AccountId
    name: str
    text: str
    """The document of its first version, which the caller has parsed."""
    path: str = "/"
    description: str = ""
    tags: Mapping[str, str] = _NO_TAGS


def create(conn: Connection, new: NewPolicy, *, by: str, at: float) -> ManagedPolicy:
    """Create a policy, and its account if need be. EntityAlreadyExists, LimitExceeded."""
    _check_length(new.text)
    if rows.named(conn, new.account, new.name) is not None:
        raise errors.already_exists(f"A policy called {new.name} already exists. Duplicate names are not allowed.")
    if rows.count(conn, new.account) >= PER_ACCOUNT:
        raise errors.limit_exceeded("PoliciesPerAccount", PER_ACCOUNT)
    accounts.ensure(conn, new.account, by=by, at=at)
    policy_id = new_unique_id(MANAGED_POLICY)
    digest = rows.add(conn, policy_id, new.account, new.name, new.path, new.description, new.text, at)
    identities.set_tags(conn, policy_id, new.tags)
    identities.remember(conn, new.account, policy_id, "default", "", digest, at, by)
    policy = own(conn, new.account, policy_arn(new.account, new.path, new.name))
    events.record(conn, ManagedPolicyCreated(at=at, account=new.account, by=by, policy_id=policy_id, arn=policy.arn))
    return policy


def delete(conn: Connection, account: AccountId, arn: str, *, by: str, at: float) -> None:
    """Delete a policy.

    NoSuchEntity; DeleteConflict while it is attached, a boundary, or has versions other than the default.
    """
    policy = own(conn, account, arn)
    uses = identity_policies.uses(conn, account)
    if policy.id in uses.attached or policy.id in uses.bounding:
        raise errors.delete_conflict("Cannot delete a policy attached to entities.")
    if len(rows.versions(conn, policy.id)) > 1:
        raise errors.delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
    rows.remove(conn, policy.id)
    identities.remember(conn, account, policy.id, "default", "", None, at, by)
    events.record(conn, ManagedPolicyDeleted(at=at, account=account, by=by, policy_id=policy.id, arn=policy.arn))


def create_version(
    conn: Connection, account: AccountId, arn: str, text: str, *, as_default: bool, by: str, at: float
) -> PolicyVersion:
    """Add a version, which the caller has parsed. NoSuchEntity; LimitExceeded if there are five already."""
    _check_length(text)
    policy = own(conn, account, arn)
    if len(rows.versions(conn, policy.id)) >= VERSIONS:
        raise errors.over_limit(
            f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must "
            "delete an existing version."
        )
    number = rows.by_ids(conn, [policy.id])[policy.id].newest_version + 1
    digest = rows.add_version(conn, policy.id, number, text, at)
    events.record(
        conn,
        PolicyVersionCreated(at=at, account=account, by=by, policy_id=policy.id, arn=policy.arn, version=f"v{number}"),
    )
    if as_default:
        _make_default(conn, policy, account, number, digest, by=by, at=at)
    return PolicyVersion(number, text, as_default, at)


def set_default(conn: Connection, account: AccountId, arn: str, number: int, *, by: str, at: float) -> None:
    """Make a version the default. NoSuchEntity."""
    policy = own(conn, account, arn)
    digest = next((each.policy_hash for each in rows.versions(conn, policy.id) if each.version == number), None)
    if digest is None:
        raise _no_version(arn, number)
    _make_default(conn, policy, account, number, digest, by=by, at=at)


def delete_version(conn: Connection, account: AccountId, arn: str, number: int, *, by: str, at: float) -> None:
    """Delete a version. NoSuchEntity; DeleteConflict for the default version."""
    policy = own(conn, account, arn)
    if number not in {each.version for each in rows.versions(conn, policy.id)}:
        raise _no_version(arn, number)
    if number == policy.default_version:
        raise errors.delete_conflict("Cannot delete the default version of a policy.")
    rows.remove_version(conn, policy.id, number)
    events.record(
        conn,
        PolicyVersionDeleted(at=at, account=account, by=by, policy_id=policy.id, arn=policy.arn, version=f"v{number}"),
    )


class ManagedPolicies:
    """Managed policies by ARN. One that does not exist, or belongs to another account, is NoSuchEntity."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def create(
        self,
        account: AccountId,
        path: str,
        name: str,
        text: str,
        by: str,
        *,
        description: str = "",
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> ManagedPolicy:
        """Create a policy, as `create` does."""
        new, at = NewPolicy(account, name, text, path, description, tags), self._clock.now()
        return await self._db.transaction(lambda conn: create(conn, new, by=by, at=at))

    async def find(self, account: AccountId, arn: str) -> ManagedPolicy | None:
        """Return the policy with that ARN if it is the account's or AWS's, without its use; else None."""
        return await self._db.read(lambda conn: find(conn, account, arn))

    async def get(self, account: AccountId, arn: str) -> ManagedPolicy:
        """Return the policy with its use. Raise NoSuchEntity."""
        return await self._db.read(lambda conn: _used(get(conn, account, arn), identity_policies.uses(conn, account)))

    async def page(
        self,
        account: AccountId,
        *,
        owners: Collection[Owner],
        path_prefix: str = "/",
        usage: Usage | None = None,
        after: str = "",
        limit: int,
    ) -> list[ManagedPolicy]:
        """Return up to `limit` policies by ARN, after the ARN `after`, with their use."""
        prefix = policy_arn(account, "", "")

        def work(conn: Connection) -> list[ManagedPolicy]:
            uses = identity_policies.uses(conn, account)
            found: list[ManagedPolicy] = []
            if "account" in owners and (after < prefix or after.startswith(prefix)):
                wanted = {"attached": usage == "attached", "bounding": usage == "bounding"}
                start = after.removeprefix(prefix) if after.startswith(prefix) else ""
                found += map(_own, rows.page(conn, account, path_prefix, start, limit, **wanted))
            if "aws" in owners and path_prefix == "/":
                found += [_of_aws(each) for arn, each in sorted(aws_managed.BY_ARN.items()) if arn > after]
            counted = [_used(each, uses) for each in found]
            return [each for each in counted if usage is None or getattr(each, usage)][:limit]

        return await self._db.read(work)

    async def each_own(self, account: AccountId, *, after: str = "") -> AsyncIterator[ManagedPolicy]:
        """Iterate over the account's policies by folded name, after the folded name `after`, without their use."""

        async def read(start: str, limit: int) -> Sequence[rows.PolicyRow]:
            return await self._db.read(lambda conn: rows.of_account(conn, account, start, limit))

        async for row in pages.each(read, lambda row: row.name_folded, after, at_a_time=_AT_A_TIME):
            yield _own(row)

    async def arn_of(self, policy_id: str) -> str | None:
        """Return the ARN of the policy with that unique id, or None."""
        return (await self.arns_of([policy_id])).get(policy_id)

    async def arns_of(self, policy_ids: Sequence[str]) -> dict[str, str]:
        """Return the ARNs of the policies that exist, by unique id."""

        def work(conn: Connection) -> dict[str, str]:
            return {each: policy.arn for each, policy in by_ids(conn, policy_ids).items()}

        return await self._db.read(work)

    async def delete(self, account: AccountId, arn: str, by: str) -> None:
        """Delete a policy, as `delete` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete(conn, account, arn, by=by, at=at))

    async def versions(self, account: AccountId, arn: str) -> list[PolicyVersion]:
        """Return every version, newest first."""
        return await self._db.read(lambda conn: versions(conn, get(conn, account, arn)))

    async def version(self, account: AccountId, arn: str, number: int) -> PolicyVersion:
        """Return that version, or raise NoSuchEntity."""
        for each in await self.versions(account, arn):
            if each.number == number:
                return each
        raise _no_version(arn, number)

    async def create_version(
        self, account: AccountId, arn: str, text: str, by: str, *, as_default: bool
    ) -> PolicyVersion:
        """Add a version, as `create_version` does."""
        at = self._clock.now()
        return await self._db.transaction(
            lambda conn: create_version(conn, account, arn, text, as_default=as_default, by=by, at=at)
        )

    async def set_default(self, account: AccountId, arn: str, number: int, by: str) -> None:
        """Make a version the default, as `set_default` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: set_default(conn, account, arn, number, by=by, at=at))

    async def delete_version(self, account: AccountId, arn: str, number: int, by: str) -> None:
        """Delete a version, as `delete_version` does."""
        at = self._clock.now()
        await self._db.transaction(lambda conn: delete_version(conn, account, arn, number, by=by, at=at))


def find(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy | None:
    """Return the policy with exactly that ARN if it is the account's or AWS's, without its use; else None."""
    if arn in aws_managed.BY_ARN:
        return _of_aws(aws_managed.BY_ARN[arn])
    named = arns.parse_policy(arn)
    if named is None or named.account != account:
        return None
    row = rows.named(conn, account, named.name)
    return None if row is None or policy_arn(account, row.path, row.name) != arn else _own(row)


def get(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy:
    """Return the policy, as `find` does, or raise NoSuchEntity."""
    policy = find(conn, account, arn)
    if policy is None:
        raise errors.no_managed_policy(arn)
    return policy


def own(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy:
    """Return the account's own policy with that ARN. NoSuchEntity; AccessDenied for AWS's, which nobody may change."""
    if arn in aws_managed.BY_ARN:
        raise QueryError("AccessDenied", f"Policy {arn} is managed by AWS and cannot be changed.", 403)
    return get(conn, account, arn)


def attachable(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy:
    """Return the policy that is to be attached, or to become a permissions boundary. NoSuchEntity."""
    policy = find(conn, account, arn)
    if policy is None:
        raise errors.not_attachable(arn)
    if policy.is_aws:
        # So that a recorded decision can be explained from the database alone.
        documents.keep(conn, aws_managed.BY_ID[policy.id].default.text)
    return policy


def each_of_account(conn: Connection, account: AccountId, after: str) -> Iterator[ManagedPolicy]:
    """Iterate over the account's policies by folded name, after the folded name `after`, with their use."""
    uses = identity_policies.uses(conn, account)
    while found := rows.of_account(conn, account, after, _AT_A_TIME):
        for row in found:
            yield _used(_own(row), uses)
        after = found[-1].name_folded


def of_aws(conn: Connection, account: AccountId) -> list[ManagedPolicy]:
    """Return AWS's policies by folded name, with how much the account uses them."""
    uses = identity_policies.uses(conn, account)
    found = [_used(_of_aws(each), uses) for each in aws_managed.BY_ARN.values()]
    return sorted(found, key=lambda each: identities.folded(each.name))


def by_ids(conn: Connection, policy_ids: Sequence[str]) -> dict[str, ManagedPolicy]:
    """Return the policies that exist, by unique id, without their use."""
    found = {each: _of_aws(aws_managed.BY_ID[each]) for each in policy_ids if each in aws_managed.BY_ID}
    of_accounts = rows.by_ids(conn, [each for each in policy_ids if each not in found])
    return {**found, **{each: _own(row) for each, row in of_accounts.items()}}


def versions(conn: Connection, policy: ManagedPolicy) -> list[PolicyVersion]:
    """Return every version of the policy, newest first."""
    default = policy.default_version
    if policy.is_aws:
        kept = reversed(aws_managed.BY_ID[policy.id].versions)
        return [PolicyVersion(each.number, each.text, each.number == default, each.created_at) for each in kept]
    return [
        PolicyVersion(row.version, row.text, row.version == default, row.created_at)
        for row in rows.versions(conn, policy.id)
    ]


def _make_default(
    conn: Connection, policy: ManagedPolicy, account: AccountId, number: int, digest: str, *, by: str, at: float
) -> None:
    rows.set_default(conn, policy.id, number, at)
    identities.remember(conn, account, policy.id, "default", "", digest, at, by)
    events.record(
        conn,
        DefaultPolicyVersionSet(
            at=at, account=account, by=by, policy_id=policy.id, arn=policy.arn, version=f"v{number}"
        ),
    )


def _own(row: rows.PolicyRow) -> ManagedPolicy:
    return ManagedPolicy(
        row.id,
        policy_arn(row.account, row.path, row.name),
        row.name,
        row.path,
        row.description,
        row.default_version,
        row.policy_hash,
        row.created_at,
        row.updated_at,
    )


def _of_aws(policy: AwsManaged) -> ManagedPolicy:
    version = policy.default
    return ManagedPolicy(
        policy.id,
        policy.arn,
        policy.name,
        "/",
        policy.description,
        version.number,
        version.hash,
        policy.created_at,
        version.created_at,
        is_aws=True,
    )


def _used(policy: ManagedPolicy, uses: identity_policies.Uses) -> ManagedPolicy:
    return policy._replace(attached=uses.attached.get(policy.id, 0), bounding=uses.bounding.get(policy.id, 0))


def _check_length(text: str) -> None:
    if len(_SPACE.sub("", text)) > CHARACTERS:
        raise errors.limit_exceeded("PolicySize", CHARACTERS)


def _no_version(arn: str, number: int) -> QueryError:
    return errors.no_such(f"Policy {arn} version v{number} does not exist or is not attachable.")
