"""Changes of an account's identities and managed policies, made in one transaction each."""

from collections.abc import Mapping
from typing import TypeAlias

from moorage.access.declared.changes import Change
from moorage.access.declared.declaration import Group, Managed, Role, User
from moorage.access.principals import Principals
from moorage.errors import InvalidParameter
from moorage.identity import faults
from moorage.identity.arns import policy_arn
from moorage.identity.entity import GROUP, ROLE, USER, Kind
from moorage.identity.identity import Identity
from moorage.identity.managed_policies import VERSIONS
from moorage.names import AccountId

Holder: TypeAlias = Group | User | Role


class Identities:
    """Makes, changes and deletes them, through the same rules as the API's calls."""

    def __init__(self, identity: Identity, account: AccountId, by: str) -> None:
        self._identity = identity
        self._account = account
        self._by = by

    async def policy(self, change: Change) -> None:
        managed, account, by = self._identity.managed, self._account, self._by
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
            await self._refuse_in_use(arn)
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
        await self._tags("policy", arn, before.tags, after.tags)

    async def _refuse_in_use(self, arn: str) -> None:
        """IAM's refusal to delete a policy, with whose it is: the file keeps them, and what they have."""
        attached, bounded = await self._identity.attachments.entities(self._account, arn)
        uses = [f"attached to {each.kind} {each.name}" for each in attached]
        uses += [f"the boundary of {each.kind} {each.name}" for each in bounded]
        if uses:
            raise faults.delete_conflict(f"Cannot delete a policy attached to entities: it is {', '.join(uses)}.")

    async def group(self, change: Change) -> None:
        groups, account, name, by = self._identity.groups, self._account, change.name, self._by
        before: Group | None = change.before
        after: Group | None = change.after
        if before is None and after is not None:
            await groups.create(account, after.path, name, by)
        elif before is not None and after is not None and before.path != after.path:
            await groups.update(account, name, by, new_path=after.path)
        await self._policies_of(GROUP, name, before or Group(), after or Group())
        if after is None:
            await groups.delete(account, name, by)

    async def user(self, change: Change) -> None:
        users, groups, account, name = self._identity.users, self._identity.groups, self._account, change.name
        by = self._by
        before: User | None = change.before
        after: User | None = change.after
        if before is None and after is not None:
            await users.create(account, after.path, name, by, tags=after.tags, boundary=after.boundary)
        elif before is not None and after is not None:
            if before.path != after.path:
                await users.update(account, name, by, new_path=after.path)
            await self._boundary(USER, name, before.boundary, after.boundary)
            await self._tags("user", name, before.tags, after.tags)
        was, now = before or User(), after or User()
        await self._policies_of(USER, name, was, now)
        for group in sorted({*was.groups} - {*now.groups}):
            await groups.remove_user(account, group, name, by)
        for group in sorted({*now.groups} - {*was.groups}):
            await groups.add_user(account, group, name, by)
        if after is None:
            for key in await self._identity.keys.list(account, name):
                await self._identity.keys.delete(account, name, key.id)
            await users.delete(account, name, by)

    async def role(self, change: Change) -> None:
        roles, account, name, by = self._identity.roles, self._account, change.name, self._by
        before: Role | None = change.before
        after: Role | None = change.after
        if after is not None and (before is None or before.trust != after.trust):
            in_force = "" if before is None else (await roles.get(account, name)).trust
            trust = await Principals(self._identity).trust(after.trust, in_force=in_force)
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
            await self._boundary(ROLE, name, before.boundary, after.boundary)
            await self._tags("role", name, before.tags, after.tags)
        empty = Role(trust="")
        await self._policies_of(ROLE, name, before or empty, after or empty)
        if after is None:
            await roles.delete(account, name, by)

    async def _policies_of(self, kind: Kind, name: str, before: Holder, after: Holder) -> None:
        attachments, inline, account, by = self._identity.attachments, self._identity.inline, self._account, self._by
        for arn in sorted({*before.attached} - {*after.attached}):
            await attachments.detach(kind, account, name, arn, by)
        for arn in sorted({*after.attached} - {*before.attached}):
            await attachments.attach(kind, account, name, arn, by)
        for one in sorted({*before.inline} - {*after.inline}):
            await inline.delete(kind, account, name, one, by)
        for one, text in sorted(after.inline.items()):
            if before.inline.get(one) != text:
                await inline.put(kind, account, name, one, text, by)

    async def _boundary(self, kind: Kind, name: str, before: str | None, after: str | None) -> None:
        if before == after:
            return
        if after is None:
            await self._identity.attachments.remove_boundary(kind, self._account, name, self._by)
        else:
            await self._identity.attachments.set_boundary(kind, self._account, name, after, self._by)

    async def _tags(self, kind: str, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        if before == after:
            return
        gone = sorted({*before} - {*after})
        if gone:
            await self._identity.tags.remove(kind, self._account, name, gone, self._by)
        if after:
            await self._identity.tags.set(kind, self._account, name, after, self._by)
