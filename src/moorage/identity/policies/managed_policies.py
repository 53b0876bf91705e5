"""Managed policies: an account's own, with their versions, beside those that AWS keeps."""

import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Row

from moorage import pages
from moorage.clock import Clock
from moorage.errors import QueryError
from moorage.identity import arns, errors
from moorage.identity.arns import policy_arn
from moorage.identity.policies import aws_managed
from moorage.identity.policies.aws_managed import AwsManaged
from moorage.identity.principals.lookup import record
from moorage.identity.principals.unique_ids import MANAGED_POLICY, new_unique_id
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import accounts, identities, identity_policies
from moorage.store.metadata.identity import managed_policies as rows

VERSIONS: Final = 5
PER_ACCOUNT: Final = 1500
CHARACTERS: Final = 6144
"""Of one version, white space not counted (IAM's quota)."""

Owner = Literal["account", "aws"]
Usage = Literal["attached", "bounding"]

_AT_A_TIME: Final = 50
_NO_TAGS: Mapping[str, str] = {}
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
    """Of the default version's document."""
    created_at: float
    updated_at: float
    attached: int = 0
    """How many users, groups and roles of the account have it attached."""
    bounding: int = 0
    """How many users and roles have it as their permissions boundary."""
    is_aws: bool = False


class PolicyVersion(NamedTuple):
    number: int
    text: str
    is_default: bool
    created_at: float


class ManagedPolicies:
    """Managed policies by ARN. One that is not there, or of another account, is NoSuchEntity."""

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
        """A new policy whose first version is `text`, which the caller has found to be a policy.

        EntityAlreadyExists, LimitExceeded.
        """
        at, policy_id = self._clock.now(), new_unique_id(MANAGED_POLICY)
        _check_length(text)

        def work(conn: Connection) -> ManagedPolicy:
            if rows.named(conn, account, name) is not None:
                raise errors.already_exists(f"A policy called {name} already exists. Duplicate names are not allowed.")
            if rows.count(conn, account) >= PER_ACCOUNT:
                raise errors.limit_exceeded("PoliciesPerAccount", PER_ACCOUNT)
            accounts.ensure(conn, account, "", at)
            digest = rows.add(conn, policy_id, account, name, path, description, text, at)
            identities.set_tags(conn, policy_id, tags)
            identities.remember(conn, account, policy_id, "default", "", digest, at, by)
            policy = own_named(conn, account, policy_arn(account, path, name))
            _record(conn, account, policy, "PolicyCreated", at, by)
            return policy

        return await self._db.transaction(work)

    async def find(self, account: AccountId, arn: str) -> ManagedPolicy | None:
        """The policy with that ARN, if it is the account's or AWS's."""

        def work(conn: Connection) -> ManagedPolicy | None:
            policy = find(conn, account, arn)
            return None if policy is None else _used(policy, *identity_policies.uses(conn, account))

        return await self._db.read(work)

    async def get(self, account: AccountId, arn: str) -> ManagedPolicy:
        """As `find`, or NoSuchEntity."""
        policy = await self.find(account, arn)
        if policy is None:
            raise errors.no_managed_policy(arn)
        return policy

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
        """The next policies by ARN from `after` (an ARN) on, with how much they are used."""
        prefix = policy_arn(account, "", "")

        def work(conn: Connection) -> list[ManagedPolicy]:
            uses = identity_policies.uses(conn, account)
            found: list[ManagedPolicy] = []
            if "account" in owners and (after < prefix or after.startswith(prefix)):
                wanted = {"attached": usage == "attached", "bounding": usage == "bounding"}
                behind = after.removeprefix(prefix) if after.startswith(prefix) else ""
                found += map(_own, rows.page(conn, account, path_prefix, behind, limit, **wanted))
            if "aws" in owners and path_prefix == "/":
                found += [_of_aws(each) for arn, each in sorted(aws_managed.BY_ARN.items()) if arn > after]
            counted = [_used(each, *uses) for each in found]
            return [each for each in counted if usage is None or getattr(each, usage)][:limit]

        return await self._db.read(work)

    async def each_own(self, account: AccountId, *, after: str = "") -> AsyncIterator[ManagedPolicy]:
        """The account's policies by folded name from `after` on, as many as are asked for; their use is not counted."""

        async def read(start: str, limit: int) -> Sequence[Row[Any]]:
            return await self._db.read(lambda conn: rows.all_of(conn, account, start, limit))

        async for row in pages.each(read, lambda row: str(row.name_folded), after, at_a_time=_AT_A_TIME):
            yield _own(row)

    async def arn_of(self, policy_id: str) -> str | None:
        """The ARN of the policy with that unique id."""
        return (await self.arns_of([policy_id])).get(policy_id)

    async def arns_of(self, policy_ids: Sequence[str]) -> dict[str, str]:
        """The ARNs of those of the policies that are there, by unique id."""

        def work(conn: Connection) -> dict[str, str]:
            return {each: policy.arn for each, policy in by_ids(conn, policy_ids).items()}

        return await self._db.read(work)

    async def delete(self, account: AccountId, arn: str, by: str) -> None:
        """DeleteConflict while it is attached, a boundary, or has other versions than the default."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            policy = own_named(conn, account, arn)
            attached, bounding = identity_policies.uses(conn, account)
            if policy.id in attached or policy.id in bounding:
                raise errors.delete_conflict("Cannot delete a policy attached to entities.")
            if len(rows.versions(conn, policy.id)) > 1:
                raise errors.delete_conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                    "versions. The default version is deleted with the policy."
                )
            rows.remove(conn, policy.id)
            identities.remember(conn, account, policy.id, "default", "", None, at, by)
            _record(conn, account, policy, "PolicyDeleted", at, by)

        await self._db.transaction(work)

    async def versions(self, account: AccountId, arn: str) -> list[PolicyVersion]:
        """Every version, newest first."""

        def work(conn: Connection) -> list[PolicyVersion]:
            policy = find(conn, account, arn)
            if policy is None:
                raise errors.no_managed_policy(arn)
            return versions(conn, policy)

        return await self._db.read(work)

    async def version(self, account: AccountId, arn: str, number: int) -> PolicyVersion:
        """That version, or NoSuchEntity."""
        for each in await self.versions(account, arn):
            if each.number == number:
                return each
        raise _no_version(arn, number)

    async def create_version(
        self, account: AccountId, arn: str, text: str, by: str, *, as_default: bool
    ) -> PolicyVersion:
        """One more version. LimitExceeded when there are five."""
        at = self._clock.now()
        _check_length(text)

        def work(conn: Connection) -> PolicyVersion:
            policy = own_named(conn, account, arn)
            if len(rows.versions(conn, policy.id)) >= VERSIONS:
                raise errors.over_limit(
                    f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must "
                    "delete an existing version."
                )
            number: int = rows.by_ids(conn, [policy.id])[policy.id].newest_version + 1
            digest = rows.add_version(conn, policy.id, number, text, at)
            if as_default:
                rows.set_default(conn, policy.id, number, at)
                identities.remember(conn, account, policy.id, "default", "", digest, at, by)
            _record(conn, account, policy, "PolicyVersionCreated", at, by)
            return PolicyVersion(number, text, as_default, at)

        return await self._db.transaction(work)

    async def set_default(self, account: AccountId, arn: str, number: int, by: str) -> None:
        """From now on that version is the one that counts. NoSuchEntity."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            policy = own_named(conn, account, arn)
            digest = next((each.policy_hash for each in rows.versions(conn, policy.id) if each.version == number), None)
            if digest is None:
                raise _no_version(arn, number)
            rows.set_default(conn, policy.id, number, at)
            identities.remember(conn, account, policy.id, "default", "", digest, at, by)
            _record(conn, account, policy, "PolicyDefaultSet", at, by)

        await self._db.transaction(work)

    async def delete_version(self, account: AccountId, arn: str, number: int, by: str) -> None:
        """NoSuchEntity; DeleteConflict for the default version."""
        at = self._clock.now()

        def work(conn: Connection) -> None:
            policy = own_named(conn, account, arn)
            if number not in {each.version for each in rows.versions(conn, policy.id)}:
                raise _no_version(arn, number)
            if number == policy.default_version:
                raise errors.delete_conflict("Cannot delete the default version of a policy.")
            rows.remove_version(conn, policy.id, number)
            _record(conn, account, policy, "PolicyVersionDeleted", at, by)

        await self._db.transaction(work)


def find(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy | None:
    """The policy with exactly that ARN, if it is the account's or AWS's; its use is not counted."""
    if arn in aws_managed.BY_ARN:
        return _of_aws(aws_managed.BY_ARN[arn])
    said = arns.parse_policy(arn)
    if said is None or said.account != account:
        return None
    row = rows.named(conn, account, said.name)
    return None if row is None or policy_arn(account, row.path, row.name) != arn else _own(row)


def each_of_account(conn: Connection, account: AccountId, after: str) -> Iterator[ManagedPolicy]:
    """The account's policies by folded name from `after` on, with how much they are used; a few are read at a time."""
    uses = identity_policies.uses(conn, account)
    while found := rows.all_of(conn, account, after, _AT_A_TIME):
        for row in found:
            yield _used(_own(row), *uses)
        after = found[-1].name_folded


def of_aws(conn: Connection, account: AccountId) -> list[ManagedPolicy]:
    """AWS's policies by folded name, with how much the account uses them."""
    uses = identity_policies.uses(conn, account)
    found = [_used(_of_aws(each), *uses) for each in aws_managed.BY_ARN.values()]
    return sorted(found, key=lambda each: identities.folded(each.name))


def by_ids(conn: Connection, policy_ids: Sequence[str]) -> dict[str, ManagedPolicy]:
    """Those of the policies that are there, by unique id; their use is not counted."""
    found = {each: _of_aws(aws_managed.BY_ID[each]) for each in policy_ids if each in aws_managed.BY_ID}
    own = rows.by_ids(conn, [each for each in policy_ids if each not in found])
    return {**found, **{each: _own(row) for each, row in own.items()}}


def own_named(conn: Connection, account: AccountId, arn: str) -> ManagedPolicy:
    """The account's own policy with that ARN. NoSuchEntity; AccessDenied for AWS's, which nobody here changes."""
    if arn in aws_managed.BY_ARN:
        raise QueryError("AccessDenied", f"Policy {arn} is managed by AWS and cannot be changed.", 403)
    policy = find(conn, account, arn)
    if policy is None:
        raise errors.no_managed_policy(arn)
    return policy


def boundary(conn: Connection, account: AccountId, arn: str) -> str:
    """The unique id of the policy that is to be a permissions boundary, or NoSuchEntity."""
    policy = find(conn, account, arn)
    if policy is None:
        raise errors.not_attachable(arn)
    return policy.id


def _own(row: Row[Any]) -> ManagedPolicy:
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


def _used(policy: ManagedPolicy, attached: Mapping[str, int], bounding: Mapping[str, int]) -> ManagedPolicy:
    return policy._replace(attached=attached.get(policy.id, 0), bounding=bounding.get(policy.id, 0))


def versions(conn: Connection, policy: ManagedPolicy) -> list[PolicyVersion]:
    """Every version of the policy, newest first."""
    default = policy.default_version
    if policy.is_aws:
        kept = reversed(aws_managed.BY_ID[policy.id].versions)
        return [PolicyVersion(each.number, each.text, each.number == default, each.created_at) for each in kept]
    return [
        PolicyVersion(row.version, row.text, row.version == default, row.created_at)
        for row in rows.versions(conn, policy.id)
    ]


def _check_length(text: str) -> None:
    if len(_SPACE.sub("", text)) > CHARACTERS:
        raise errors.limit_exceeded("PolicySize", CHARACTERS)


def _no_version(arn: str, number: int) -> QueryError:
    return errors.no_such(f"Policy {arn} version v{number} does not exist or is not attachable.")


def _record(conn: Connection, account: AccountId, policy: ManagedPolicy, event: str, at: float, by: str) -> None:
    record(conn, account, event, at, by, policy_id=policy.id, arn=policy.arn)
