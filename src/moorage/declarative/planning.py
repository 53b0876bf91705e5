"""The plan of a file: what differs from it, and the steps that change that. Nothing is changed here."""

import asyncio
from collections.abc import Mapping

from moorage import policy
from moorage.access.authorize import NamedResource
from moorage.access.organization import organization_resource, read, to_put
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.declarative.applying import documents
from moorage.declarative.changes import Change, changes
from moorage.declarative.declaration import Account, File, Organization
from moorage.declarative.dry_run import first_failure
from moorage.declarative.identity_steps import Around, group_steps, key_steps, policy_steps, role_steps, user_steps
from moorage.declarative.nouns import Nouns
from moorage.declarative.pauses import Pauses
from moorage.declarative.registry_steps import registry_steps, repository_steps
from moorage.declarative.state import State
from moorage.declarative.steps import Author, NewKey, Plan, Planned, Run, Step
from moorage.errors import InvalidParameter
from moorage.identity.arns import identity_arn, parse_identity, policy_arn, root_arn
from moorage.identity.principals.entity import GROUP
from moorage.names import AccountId


class Planner:
    """Compares what is there with files."""

    def __init__(self, nouns: Nouns, default_account: AccountId) -> None:
        self._nouns = nouns
        self._identity = nouns.identity
        self._state = State(nouns)
        self._default = default_account

    async def plan(self, file: File, author: Author, *, prune: bool, keys: bool) -> Plan:
        """Everything that applying `file` would do.

        Accounts that are not there are made by the operator alone. InvalidParameter: the author would be deleted, or
        something is to change that cannot.
        """
        before: dict[AccountId, Account | None] = {}
        for account in file.accounts:
            is_there = author.call is not None or await self._identity.accounts.exists(account)
            before[account] = await self._state.of(account) if is_there else None
        now = await self._state.organization() if file.on_organization else None
        # Roles are put in order by their trust policies, each of which is parsed: seconds for thousands.
        found = await asyncio.to_thread(changes, before, now, file, prune=prune)
        groups = {account: _group_arns(account, before[account], one) for account, one in file.accounts.items()}
        planned, pauses = [], Pauses()
        for change in found:
            if change.operation == "delete" and _is(author, change):
                raise InvalidParameter(
                    f"{change.section}/{change.label} applies the file, and would be deleted: name it in the file."
                )
            _check_documents(change)
            planned.append(Planned(change, await self._steps(change, author, groups)))
            await pauses()
        made = await self._keys(file, before, author.by, pauses) if keys else ()
        return Plan(planned, made, first_failure(found, before, file, groups))

    async def _steps(self, change: Change, author: Author, groups: Mapping[AccountId, Mapping[str, str]]) -> list[Step]:
        account, by = change.account, author.by
        if account is None:
            return [await self._organization_step(change, by)]
        around = Around(account, by, groups[account], await self._keys_of(change), await self._versions_of(change))
        match change.section:
            case "accounts":
                return [_account_step(account, by)]
            case "policies":
                return list(policy_steps(change, around))
            case "groups":
                return list(group_steps(change, around))
            case "users":
                return list(user_steps(change, around))
            case "roles":
                return list(role_steps(change, around))
            case "repositories":
                return list(repository_steps(change, account, by))
            case "registries":
                return list(registry_steps(change, account, by))
        raise ValueError(f"no steps for {change.section}")

    async def _organization_step(self, change: Change, by: str) -> Step:
        resource = await organization_resource(self._identity.organizations, self._default)
        after: Organization | None = change.after
        if after is None:
            return Step(
                "moorage:DeleteOrganization",
                (resource,),
                {},
                lambda on: on.identity.organizations.remove(by=by),
            )
        document = after.document

        async def prepare(_check: RepositoryPolicyCheck, _author: Author) -> Run:
            organization = await read(document)
            return lambda on: on.identity.organizations.put(to_put(document, organization), by=by)

        return Step("moorage:PutOrganization", (resource,), {}, None, prepare=prepare)

    async def _keys_of(self, change: Change) -> list[str]:
        """Of a user that is deleted."""
        if change.section != "users" or change.after is not None or change.account is None:
            return []
        return [key.id for key in await self._identity.keys.list(change.account, change.name)]

    async def _versions_of(self, change: Change) -> list[int]:
        """Of a managed policy that changes or is deleted: those beside the default, oldest first."""
        if change.section != "policies" or change.before is None or change.account is None:
            return []
        arn = policy_arn(change.account, change.before.path, change.name)
        versions = await self._identity.managed.versions(change.account, arn)
        return sorted(each.number for each in versions if not each.is_default)

    async def _keys(
        self, file: File, before: Mapping[AccountId, Account | None], by: str, pauses: Pauses
    ) -> list[Planned]:
        """The keys to be made for declared users that have none."""
        found = []
        for account, wanted in file.accounts.items():
            one = before[account]
            there = {} if one is None else {name.lower(): (name, user) for name, user in one.users.items()}
            for name in sorted(wanted.users):
                known = there.get(name.lower())
                if known is None or not await self._identity.keys.list(account, name):
                    own_name, user = known or (name, wanted.users[name])
                    change = Change("update", account, "users", own_name, before=user, after=user)
                    found.append(Planned(change, list(key_steps(account, own_name, user, by))))
                await pauses()
        return found


def _account_step(account: AccountId, by: str) -> Step:
    async def create(on: Nouns) -> NewKey:
        await on.identity.accounts.ensure(account, by=by)
        key, secret = await on.identity.keys.create(account, None, by=by)
        return NewKey(account, None, key.id, secret)

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
    """Of groups that are there, and of those that the file creates, by name in lower case."""
    found: dict[str, str] = {}
    for one in (after, before or Account()):
        for name, group in one.groups.items():
            found[name.lower()] = identity_arn(GROUP.name, account, group.path, name)
    return found


def _is(author: Author, change: Change) -> bool:
    if author.call is None:
        return False
    principal = author.call[0].principal
    said = parse_identity(principal.role_arn or principal.user_arn or principal.arn)
    if said is None:
        return False
    return (said.account, f"{said.kind}s", said.name.lower()) == (
        change.account,
        change.section,
        change.label.lower(),
    )
