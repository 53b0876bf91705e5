"""A change is carried out: through the same rules as the API's calls, so with the same refusals."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.declared.changes import Change
from moorage.access.declared.declaration import Group, Managed, Repository, Role, User
from moorage.access.principals import Principals
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.errors import InvalidParameter, MoorageError
from moorage.identity.arns import policy_arn
from moorage.identity.entity import GROUP, ROLE, USER, Kind
from moorage.identity.identity import Identity
from moorage.identity.managed_policies import VERSIONS
from moorage.names import AccountId, RepositoryName, RepositoryRef
from moorage.registry.registry import Registry

_PAGE = 500

Holder: TypeAlias = Group | User | Role


class Applier:
    """Carries out the changes of one account."""

    def __init__(
        self, identity: Identity, registry: Registry, principals: Principals, check: RepositoryPolicyCheck
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._principals = principals
        self._check = check

    async def apply(
        self, account: AccountId, changes: Sequence[Change], caller: Caller, connection: Connection
    ) -> tuple[list[Change], tuple[Change, MoorageError] | None]:
        """What was done, in order; and the change that failed, if one did: then those after it were not tried."""
        done: list[Change] = []
        for change in changes:
            try:
                await self._carry_out(account, change, caller, connection)
            except MoorageError as error:
                return done, (change, error)
            done.append(change)
        return done, None

    async def _carry_out(self, account: AccountId, change: Change, caller: Caller, connection: Connection) -> None:
        by = caller.principal.arn
        if change.section == "policies":
            await self._policy(account, change, by)
        elif change.section == "groups":
            await self._group(account, change, by)
        elif change.section == "users":
            if change.operation == "delete" and caller.principal.user_name == change.name:
                raise InvalidParameter("This user is the one who applies the file; it is not deleted.")
            await self._user(account, change, by)
        elif change.section == "roles":
            await self._role(account, change, by)
        else:
            await self._repository(account, change, caller, connection)

    async def _policy(self, account: AccountId, change: Change, by: str) -> None:
        managed = self._identity.managed
        before: Managed | None = change.before
        after: Managed | None = change.after
        if before is None and after is not None:
            await managed.create(
                account, after.path, change.name, after.document, by, description=after.description, tags=after.tags
            )
            return
        assert before is not None  # noqa: S101 - a change has a before or an after
        arn = policy_arn(account, before.path, change.name)
        if after is None:
            for version in await managed.versions(account, arn):
                if not version.is_default:
                    await managed.delete_version(account, arn, version.number, by)
            await managed.delete(account, arn, by)
            return
        for aspect in ("path", "description"):
            if getattr(before, aspect) != getattr(after, aspect):
                raise InvalidParameter(f"The {aspect} of a managed policy cannot be changed. Delete the policy first.")
        if before.document != after.document:
            versions = await managed.versions(account, arn)
            if len(versions) >= VERSIONS:
                oldest = next(each for each in reversed(versions) if not each.is_default)
                await managed.delete_version(account, arn, oldest.number, by)
            await managed.create_version(account, arn, after.document, by, as_default=True)
        await self._tags("policy", account, arn, before.tags, after.tags, by)

    async def _group(self, account: AccountId, change: Change, by: str) -> None:
        groups, name = self._identity.groups, change.name
        before: Group | None = change.before
        after: Group | None = change.after
        if before is None and after is not None:
            await groups.create(account, after.path, name, by)
        elif before is not None and after is not None and before.path != after.path:
            await groups.update(account, name, by, new_path=after.path)
        await self._policies_of(GROUP, account, name, before or Group(), after or Group(), by)
        if after is None:
            while members := (await groups.members(account, name, limit=_PAGE))[1]:
                for user in members:
                    await groups.remove_user(account, name, user.name, by)
            await groups.delete(account, name, by)

    async def _user(self, account: AccountId, change: Change, by: str) -> None:
        users, groups, name = self._identity.users, self._identity.groups, change.name
        before: User | None = change.before
        after: User | None = change.after
        if before is None and after is not None:
            await users.create(account, after.path, name, by, tags=after.tags, boundary=after.boundary)
        elif before is not None and after is not None:
            if before.path != after.path:
                await users.update(account, name, by, new_path=after.path)
            await self._boundary(USER, account, name, before.boundary, after.boundary, by)
            await self._tags("user", account, name, before.tags, after.tags, by)
        was, now = before or User(), after or User()
        await self._policies_of(USER, account, name, was, now, by)
        for group in sorted({*was.groups} - {*now.groups}):
            await groups.remove_user(account, group, name, by)
        for group in sorted({*now.groups} - {*was.groups}):
            await groups.add_user(account, group, name, by)
        if after is None:
            for key in await self._identity.keys.list(account, name):
                await self._identity.keys.delete(account, name, key.id)
            await users.delete(account, name, by)

    async def _role(self, account: AccountId, change: Change, by: str) -> None:
        roles, name = self._identity.roles, change.name
        before: Role | None = change.before
        after: Role | None = change.after
        if after is not None and (before is None or before.trust != after.trust):
            in_force = "" if before is None else (await roles.get(account, name)).trust
            trust = await self._principals.trust(after.trust, in_force=in_force)
            if before is None:
                await roles.create(
                    account, after.path, name, trust, by,
                    max_session_seconds=after.max_session_seconds,
                    description=after.description,
                    tags=after.tags,
                    boundary=after.boundary,
                )  # fmt: skip
            else:
                await roles.set_trust(account, name, trust, by)
        if before is not None and after is not None:
            if before.path != after.path:
                raise InvalidParameter("The path of a role cannot be changed. Delete the role first.")
            if (before.description, before.max_session_seconds) != (after.description, after.max_session_seconds):
                seconds, description = after.max_session_seconds, after.description
                await roles.update(account, name, by, max_session_seconds=seconds, description=description)
            await self._boundary(ROLE, account, name, before.boundary, after.boundary, by)
            await self._tags("role", account, name, before.tags, after.tags, by)
        empty = Role(trust="")
        await self._policies_of(ROLE, account, name, before or empty, after or empty, by)
        if after is None:
            await roles.delete(account, name, by)

    async def _policies_of(
        self,
        kind: Kind,
        account: AccountId,
        name: str,
        before: Holder,
        after: Holder,
        by: str,
    ) -> None:
        attachments, inline = self._identity.attachments, self._identity.inline
        for arn in sorted({*before.attached} - {*after.attached}):
            await attachments.detach(kind, account, name, arn, by)
        for arn in sorted({*after.attached} - {*before.attached}):
            await attachments.attach(kind, account, name, arn, by)
        for one in sorted({*before.inline} - {*after.inline}):
            await inline.delete(kind, account, name, one, by)
        for one, text in sorted(after.inline.items()):
            if before.inline.get(one) != text:
                await inline.put(kind, account, name, one, text, by)

    async def _boundary(
        self, kind: Kind, account: AccountId, name: str, before: str | None, after: str | None, by: str
    ) -> None:
        if before == after:
            return
        if after is None:
            await self._identity.attachments.remove_boundary(kind, account, name, by)
        else:
            await self._identity.attachments.set_boundary(kind, account, name, after, by)

    async def _tags(
        self, kind: str, account: AccountId, name: str, before: Mapping[str, str], after: Mapping[str, str], by: str
    ) -> None:
        if before == after:
            return
        gone = sorted({*before} - {*after})
        if gone:
            await self._identity.tags.remove(kind, account, name, gone, by)
        if after:
            await self._identity.tags.set(kind, account, name, after, by)

    async def _repository(self, account: AccountId, change: Change, caller: Caller, connection: Connection) -> None:
        repositories, policies, by = self._registry.repositories, self._registry.policies, caller.principal.arn
        region, name = change.name
        ref = RepositoryRef(account, region, RepositoryName(name))
        before: Repository | None = change.before
        after: Repository | None = change.after
        if after is None:
            await repositories.delete(ref, force=False, by=by)  # one with images is not deleted by a file
            return
        stored = None
        if after.policy is not None and (before is None or before.policy != after.policy):
            check = self._check.check_and_canonicalise
            stored = (await check(caller, connection, ref, after.policy, False)).stored
        if before is None:
            mutability: Any = {"mutability": after.mutability, "exclusion_filters": after.exclusions}
            await repositories.create(ref, **mutability, scan_on_push=after.scan_on_push, tags=after.tags, by=by)
        else:
            if before.scan_on_push != after.scan_on_push:
                raise InvalidParameter("scan_on_push is set when a repository is made, and cannot be changed yet.")
            if (before.mutability, before.exclusions) != (after.mutability, after.exclusions):
                await repositories.set_mutability(ref, after.mutability, after.exclusions, by=by)
            gone = sorted({*before.tags} - {*after.tags})
            if gone:
                await repositories.untag(ref, gone, by=by)
            if after.tags != before.tags and after.tags:
                await repositories.tag(ref, after.tags, by=by)
            if before.policy is not None and after.policy is None:
                await policies.delete(ref, by=by)
        if stored is not None:
            await policies.set(ref, stored, by=by)


def documents(change: Change) -> list[tuple[str, str, policy.Kind]]:
    """The policies that a change puts in force: their aspect, text and kind."""
    found: list[tuple[str, str, policy.Kind]] = []
    for aspect, (before, after) in change.aspects.items():
        if not after:
            continue
        if aspect == "document":
            found.append((aspect, after, policy.Kind.IDENTITY))
        elif aspect == "trust":
            found.append((aspect, after, policy.Kind.TRUST))
        elif aspect == "policy":
            found.append((aspect, after, policy.Kind.REPOSITORY))
        elif aspect == "inline":
            was = before or {}
            found += [
                (f"inline/{name}", text, policy.Kind.IDENTITY)
                for name, text in sorted(after.items())
                if was.get(name) != text
            ]
    return found
