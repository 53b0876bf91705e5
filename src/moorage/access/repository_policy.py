"""What SetRepositoryPolicy asks of a text before it is stored, and how that is shown (policy-engine.md §1, §5).

Users and roles that are kept here are stored by their unique id and shown by their ARN; of a deleted one the id is
left.
"""

import re
from collections.abc import Mapping

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.errors import InvalidParameter, RepositoryPolicyNotFound
from moorage.identity import arns
from moorage.identity.entity import Entity
from moorage.identity.identity import Identity
from moorage.names import RepositoryRef
from moorage.policy import lint
from moorage.registry.policies import RepositoryPolicies

_PARTITION = re.compile(r"arn:aws[a-z-]*:")
_UNIQUE_ID = re.compile(r"A(?:IDA|ROA)[A-Z2-7]+")
_ROLE_ID = "AROA"
_POLICY_TEXT = "PolicyText"


class RepositoryPolicyCheck:
    """Accepts a repository policy in its stored form, or refuses it as ECR does."""

    def __init__(self, access: Access, identity: Identity, policies: RepositoryPolicies) -> None:
        self._access = access
        self._users = identity.users
        self._roles = identity.roles
        self._policies = policies

    async def check_and_canonicalise(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, text: str, force: bool
    ) -> str:
        """The stored form of `text`.

        InvalidParameter: not a policy, an unknown principal, or a lock-out without `force`.
        """
        try:
            document = policy.parse(text, policy.Kind.REPOSITORY)
        except policy.PolicyError as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Invalid repository policy provided") from error
        ids = await self._ids(document, ref)
        stored = document.with_principals(lambda each: ids.get(each, each)) if ids else document
        if not force and await self._locks_out(caller, connection, ref, stored):
            raise _lock_out()
        return stored.canonical()

    def findings(self, ref: RepositoryRef, text: str) -> str:
        """What lint has to say of `text` as the policy of `ref`, as a header: ASCII, one line, bounded."""
        return lint.as_header(lint.lint(text, policy.Kind.REPOSITORY, account=ref.account))

    async def shown(self, stored: str) -> str:
        """The stored text as clients see it."""
        ids = set(_UNIQUE_ID.findall(stored))
        if not ids:
            return stored
        arns_by_id: dict[str, str] = {}
        for each in ids:
            entity = await self._by_id(each)
            if entity is not None:
                arns_by_id[each] = entity.arn
        document = policy.parse(stored, policy.Kind.REPOSITORY)
        return document.with_principals(lambda each: arns_by_id.get(each, each)).canonical()

    async def _ids(self, document: policy.Document, ref: RepositoryRef) -> Mapping[str, str]:
        """Unique ids of the users and roles that `document` names.

        InvalidParameter for one that should be here and is not. The ARNs of sessions are not looked up: they come and
        go, and their role's existence says nothing about them.
        """
        ids: dict[str, str] = {}
        for each in dict.fromkeys(document.principals()):
            if _UNIQUE_ID.fullmatch(each) is not None:
                if await self._by_id(each) is None and each not in await self._in_force(ref):
                    raise _principal_not_found()
                continue
            said = arns.parse_identity(_PARTITION.sub("arn:aws:", each, count=1))
            if said is None:
                continue
            entity: Entity | None
            if said.kind == "role":
                entity, keeps = await self._roles.by_arn(each), self._roles.keeps_roles
            else:
                entity, keeps = await self._users.by_arn(each), self._users.keeps_users
            if entity is not None:
                ids[each] = entity.id
            elif await keeps(said.account):
                raise _principal_not_found()
        return ids

    async def _by_id(self, unique_id: str) -> Entity | None:
        if unique_id.startswith(_ROLE_ID):
            return await self._roles.by_id(unique_id)
        return await self._users.by_id(unique_id)

    async def _in_force(self, ref: RepositoryRef) -> str:
        try:
            return await self._policies.get(ref)
        except RepositoryPolicyNotFound:
            return ""

    async def _locks_out(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, document: policy.Document
    ) -> bool:
        if policy.locks_out(document, ref.account):
            return True
        return not await self._access.would_allow(caller, connection, "ecr:SetRepositoryPolicy", ref, document)


def _principal_not_found() -> InvalidParameter:
    return InvalidParameter.at(_POLICY_TEXT, "Principal not found")


def _lock_out() -> InvalidParameter:
    """No text of AWS's is known [guess]."""
    return InvalidParameter.at(_POLICY_TEXT, "The policy would prevent future policy changes; set force to true")
