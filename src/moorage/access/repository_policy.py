"""What SetRepositoryPolicy asks of a text before it is stored, and how that is shown (policy-engine.md §1, §5).

Users that are kept here are stored by their unique id and shown by their ARN; of a deleted user the id is left.
"""

import re
from collections.abc import Mapping

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.errors import InvalidParameter, RepositoryPolicyNotFound
from moorage.identity.users import Users
from moorage.names import AccountId, RepositoryRef
from moorage.registry.policies import RepositoryPolicies

_USER = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):user/.+")
_USER_ID = re.compile(r"AIDA[A-Z2-7]+")
_POLICY_TEXT = "PolicyText"


class RepositoryPolicyCheck:
    """Accepts a repository policy in its stored form, or refuses it as ECR does."""

    def __init__(self, access: Access, users: Users, policies: RepositoryPolicies) -> None:
        self._access = access
        self._users = users
        self._policies = policies

    async def check_and_canonicalise(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, text: str, force: bool
    ) -> str:
        """The stored form of `text`. InvalidParameter: not a policy, an unknown user, or a lock-out without `force`."""
        try:
            document = policy.parse(text, policy.Kind.REPOSITORY)
        except policy.PolicyError as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Invalid repository policy provided") from error
        ids = await self._ids(document, ref)
        stored = document.with_principals(lambda each: ids.get(each, each)) if ids else document
        if not force and await self._locks_out(caller, connection, ref, stored):
            raise _lock_out()
        return stored.canonical()

    async def shown(self, stored: str) -> str:
        """The stored text as clients see it."""
        ids = set(_USER_ID.findall(stored))
        if not ids:
            return stored
        arns: dict[str, str] = {}
        for each in ids:
            user = await self._users.by_id(each)
            if user is not None:
                arns[each] = user.arn
        document = policy.parse(stored, policy.Kind.REPOSITORY)
        return document.with_principals(lambda each: arns.get(each, each)).canonical()

    async def _ids(self, document: policy.Document, ref: RepositoryRef) -> Mapping[str, str]:
        """Unique ids of the users that `document` names; InvalidParameter for one that should be here and is not."""
        ids: dict[str, str] = {}
        for each in dict.fromkeys(document.principals()):
            if _USER_ID.fullmatch(each) is not None:
                if await self._users.by_id(each) is None and each not in await self._in_force(ref):
                    raise _principal_not_found()
                continue
            match = _USER.fullmatch(each)
            if match is None:
                continue
            user = await self._users.by_arn(each)
            if user is not None:
                ids[each] = user.id
            elif await self._users.keeps_users(AccountId(match[1])):
                raise _principal_not_found()
        return ids

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
