"""What SetRepositoryPolicy asks of a text before it is stored, and how that is shown (policy-engine.md §1, §5)."""

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.principals import Principals, UnknownPrincipal
from moorage.errors import InvalidParameter, RepositoryPolicyNotFound
from moorage.names import RepositoryRef
from moorage.policy import lint
from moorage.registry.policies import RepositoryPolicies

_POLICY_TEXT = "PolicyText"


class RepositoryPolicyCheck:
    """Accepts a repository policy in its stored form, or refuses it as ECR does."""

    def __init__(self, access: Access, principals: Principals, policies: RepositoryPolicies) -> None:
        self._access = access
        self._principals = principals
        self._policies = policies

    async def check_and_canonicalise(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, text: str, force: bool
    ) -> str:
        """The stored form of `text`.

        InvalidParameter: not a policy, an unknown principal, or a lock-out without `force`.
        """
        try:
            document = policy.parse(text, policy.Kind.REPOSITORY)
            has_ids = any(map(policy.is_unique_id, document.principals()))
            stored = await self._principals.stored(document, await self._in_force(ref) if has_ids else "")
        except policy.PolicyError as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Invalid repository policy provided") from error
        except UnknownPrincipal as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Principal not found") from error
        if not force and await self._locks_out(caller, connection, ref, stored):
            raise _lock_out()
        return stored.canonical()

    def findings(self, ref: RepositoryRef, text: str) -> str:
        """What lint has to say of `text` as the policy of `ref`, as a header: ASCII, one line, bounded."""
        return lint.as_header(lint.lint(text, policy.Kind.REPOSITORY, account=ref.account))

    async def shown(self, stored: str) -> str:
        """The stored text as clients see it."""
        return await self._principals.shown(stored, policy.Kind.REPOSITORY)

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


def _lock_out() -> InvalidParameter:
    """No text of AWS's is known [guess]."""
    return InvalidParameter.at(_POLICY_TEXT, "The policy would prevent future policy changes; set force to true")
