"""The plan of a file: what differs from it, and the steps that change that. Nothing is changed here."""

import asyncio
from collections.abc import Mapping

from moorage import policy
from moorage.access.organization import organization_resource, read, to_put
from moorage.access.repository_policy import RepositoryPolicyCheck, Submission
from moorage.access.resources import NamedResource
from moorage.declarative.changes import Change, changes
from moorage.declarative.declaration import Account, File, Organization
from moorage.declarative.executor import documents
from moorage.declarative.identity_steps import (
    ChangeContext,
    group_steps,
    key_step,
    policy_steps,
    role_steps,
    user_steps,
)
from moorage.declarative.registry_steps import registry_steps, repository_steps
from moorage.declarative.state import CurrentState
from moorage.declarative.steps import Author, Execution, IssuedKey, Plan, PlannedChange, Step
from moorage.declarative.time_slices import TimeSlices
from moorage.errors import InvalidParameter
from moorage.identity.accounts import accounts, organizations
from moorage.identity.arns import identity_arn, parse_identity, policy_arn, root_arn
from moorage.identity.credentials import access_keys
from moorage.identity.credentials.access_keys import NewKey
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import GROUP
from moorage.names import AccountId, RepositoryRef
from moorage.sealing import Sealer


class Planner:
    """Compares files with what exists."""

    def __init__(
        self,
        identity: Identity,
        state: CurrentState,
        check: RepositoryPolicyCheck,
        sealer: Sealer,
        default_account: AccountId,
    ) -> None:
        self._identity = identity
        self._state = state
        self._check = check
        self._sealer = sealer
        self._default = default_account

    async def plan(self, file: File, author: Author, *, prune: bool, keys: bool) -> Plan:
        """Return everything that applying `file` would do.

        Only the operator creates accounts. InvalidParameter: the author would be deleted, or the file changes something
        that cannot be changed.
        """
        before: dict[AccountId, Account | None] = {}
        for account in file.accounts:
            exists = author.call is not None or await self._identity.accounts.exists(account)
            before[account] = await self._state.of(account) if exists else None
        now = await self._state.organization() if file.has_organization else None
        # Roles are put in order by their trust policies, each of which is parsed: seconds for thousands.
        found = await asyncio.to_thread(changes, before, now, file, prune=prune)
        groups = {account: _group_arns(account, before[account], one) for account, one in file.accounts.items()}
        planned, slices = [], TimeSlices()
        for change in found:
            if change.operation == "delete" and _concerns_author(author, change):
                raise InvalidParameter(
                    f"{change.section}/{change.label} applies the file, and would be deleted: name it in the file."
                )
            _check_documents(change)
            planned.append(PlannedChange(change, await self._steps(change, author, groups)))
            await slices.pause()
        return Plan(planned, await self._keys(file, before, slices) if keys else ())

    async def _steps(self, change: Change, author: Author, groups: Mapping[AccountId, Mapping[str, str]]) -> list[Step]:
        account = change.account
        if account is None:
            return [await self._organization_step(change)]
        keys, versions = await self._keys_of(change), await self._versions_of(change)
        context = ChangeContext(account, groups[account], keys, versions)
        match change.section:
            case "accounts":
                return [_account_step(account, NewKey.generate(self._sealer))]
            case "policies":
                return list(policy_steps(change, context))
            case "groups":
                return list(group_steps(change, context))
            case "users":
                return list(user_steps(change, context))
            case "roles":
                return list(role_steps(change, context))
            case "repositories":
                return list(repository_steps(change, account, await self._submission(change, account, author)))
            case "registries":
                return list(registry_steps(change, account))
        raise ValueError(f"no steps for {change.section}")

    async def _organization_step(self, change: Change) -> Step:
        resource = await organization_resource(self._identity.organizations, self._default)
        after: Organization | None = change.after
        if after is None:
            return Step(
                "moorage:DeleteOrganization",
                (resource,),
                {},
                lambda e: organizations.remove(e.conn, by=e.by, at=e.at),
            )
        document = to_put(after.document, await read(after.document))
        return Step(
            "moorage:PutOrganization",
            (resource,),
            {},
            lambda e: organizations.put(e.conn, document, by=e.by, at=e.at),
        )

    async def _submission(self, change: Change, account: AccountId, author: Author) -> Submission | None:
        """Return the policy that a repository is given, prepared for the transaction; None if it is given none."""
        text = None if change.after is None else change.after.policy
        if text is None or (change.before is not None and change.before.policy == text):
            return None
        return await self._check.submission(author.call, RepositoryRef(account, *change.name), text)

    async def _keys_of(self, change: Change) -> list[str]:
        """Return the ids of the access keys of a user that is deleted."""
        if change.section != "users" or change.after is not None or change.account is None:
            return []
        return [key.id for key in await self._identity.keys.list(change.account, change.name)]

    async def _versions_of(self, change: Change) -> list[int]:
        """Return the versions of a changed or deleted managed policy other than its default, oldest first."""
        if change.section != "policies" or change.before is None or change.account is None:
            return []
        arn = policy_arn(change.account, change.before.path, change.name)
        versions = await self._identity.managed.versions(change.account, arn)
        return sorted(each.number for each in versions if not each.is_default)

    async def _keys(
        self, file: File, before: Mapping[AccountId, Account | None], slices: TimeSlices
    ) -> list[PlannedChange]:
        """Return the steps that create keys for declared users who have none."""
        found = []
        for account, wanted in file.accounts.items():
            one = before[account]
            existing = {} if one is None else {name.lower(): (name, user) for name, user in one.users.items()}
            for name in sorted(wanted.users):
                known = existing.get(name.lower())
                if known is None or not await self._identity.keys.list(account, name):
                    own_name, user = known or (name, wanted.users[name])
                    change = Change("update", account, "users", own_name, before=user, after=user)
                    step = key_step(account, own_name, user, NewKey.generate(self._sealer))
                    found.append(PlannedChange(change, [step]))
                await slices.pause()
        return found


def _account_step(account: AccountId, new: NewKey) -> Step:
    """Return the step that creates an account with a key of its root."""

    def create(e: Execution) -> IssuedKey:
        accounts.ensure(e.conn, account, by=e.by, at=e.at)
        access_keys.create(e.conn, account, None, new, by=e.by, at=e.at)
        return IssuedKey(account, None, new.id, new.secret)

    return Step("organizations:CreateAccount", (NamedResource(account, root_arn(account)),), {}, create)


def _check_documents(change: Change) -> None:
    """Raise InvalidParameter if IAM refuses a new policy. Policies that stay as they are were accepted before.

    Managed policies may be without Version here: a file is Moorage's own format, and existing files leave it out.
    """
    for aspect, text, kind in documents(change):
        if kind not in {policy.Kind.IDENTITY, policy.Kind.TRUST}:
            continue
        refused = policy.refusal(policy.parsed(text, kind))
        if refused is not None:
            raise InvalidParameter(f"{change.section}/{change.label}: the {aspect} policy is refused: {refused}")


def _group_arns(account: AccountId, before: Account | None, after: Account) -> dict[str, str]:
    """Return the ARNs of groups that exist or that the file creates, by name in lower case."""
    found: dict[str, str] = {}
    for one in (after, before or Account()):
        for name, group in one.groups.items():
            found[name.lower()] = identity_arn(GROUP.name, account, group.path, name)
    return found


def _concerns_author(author: Author, change: Change) -> bool:
    """Return whether the change is about the user or role that applies the file."""
    if author.call is None:
        return False
    principal = author.call[0].principal
    named = parse_identity(principal.role_arn or principal.user_arn or principal.arn)
    if named is None:
        return False
    return (named.account, f"{named.kind}s", named.name.lower()) == (
        change.account,
        change.section,
        change.label.lower(),
    )
