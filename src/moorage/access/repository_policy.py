"""What SetRepositoryPolicy asks of a text before it is stored, and how that is shown (policy-engine.md §1, §5)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.caller import Caller, Connection
from moorage.access.principals import Principals, UnknownPrincipal, ids_of
from moorage.errors import InvalidParameter, RepositoryPolicyNotFound
from moorage.identity.entity import Entity
from moorage.names import AccountId, RepositoryRef
from moorage.policy import lint
from moorage.registry.policies import RepositoryPolicies

_POLICY_TEXT = "PolicyText"
MAX_TEXT = 10_240
"""Characters of a repository policy, as SetRepositoryPolicy takes it."""
_TEXTS = 64
"""Texts that are kept read: the same policy is often set on one repository after the other."""


class Accepted(NamedTuple):
    """A policy that may be set: as it is stored, and as clients see it."""

    stored: str
    shown: str


class RepositoryPolicyCheck:
    """Accepts a repository policy in its stored form, or refuses it as ECR does."""

    def __init__(self, access: Access, principals: Principals, policies: RepositoryPolicies) -> None:
        self._access = access
        self._principals = principals
        self._policies = policies

    async def check_and_canonicalise(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, text: str, force: bool
    ) -> Accepted:
        """The two forms of `text`.

        InvalidParameter: not a policy, an unknown principal, or a lock-out without `force`.
        """
        document, named = await self._read(ref, text)
        if not force:
            if _stops_all(text, ref.account):
                raise _lock_out()
            if not await self._access.would_allow(caller, connection, "ecr:SetRepositoryPolicy", ref, document):
                raise _lock_out()
        return _accepted(text, named)

    async def canonicalise_for_operator(self, ref: RepositoryRef, text: str) -> Accepted:
        """The same for whoever runs the machine: no policy binds them, but none may lock the whole account out."""
        _, named = await self._read(ref, text)
        if _stops_all(text, ref.account):
            raise _lock_out()
        return _accepted(text, named)

    async def _read(self, ref: RepositoryRef, text: str) -> tuple[policy.Document, Mapping[str, Entity]]:
        """`text`, and whom it names."""
        try:
            document = _parsed(text)
            return document, await self._named(ref, document)
        except policy.PolicyError as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Invalid repository policy provided") from error
        except UnknownPrincipal as error:
            raise InvalidParameter.at(_POLICY_TEXT, "Principal not found") from error

    async def proposed(self, ref: RepositoryRef, text: str) -> policy.Document:
        """`text` as it would be stored, to be tried out. InvalidParameter says more than ECR would."""
        if len(text) > MAX_TEXT:
            raise InvalidParameter(f"a repository policy has at most {MAX_TEXT} characters, this one {len(text)}")
        try:
            document = policy.parse(text, policy.Kind.REPOSITORY)
            ids = ids_of(await self._named(ref, document))
            return policy.parse(document.canonical(ids), policy.Kind.REPOSITORY) if ids else document
        except policy.PolicyError as error:
            raise InvalidParameter(f"no repository policy: {error.reason}, at {error.pointer or '/'}") from error
        except UnknownPrincipal as error:
            raise InvalidParameter(f"Principal not found: {error}") from error

    async def _named(self, ref: RepositoryRef, document: policy.Document) -> Mapping[str, Entity]:
        has_ids = any(map(policy.is_unique_id, document.principals))
        return await self._principals.named(document, await self.in_force(ref) if has_ids else "")

    def findings(self, ref: RepositoryRef, text: str) -> str:
        """What lint has to say of `text` as the policy of `ref`, as a header: ASCII, one line, bounded."""
        return _findings(text, ref.account)

    async def shown(self, stored: str) -> str:
        """The stored text as clients see it."""
        return await self._principals.shown(stored, policy.Kind.REPOSITORY)

    async def in_force(self, ref: RepositoryRef) -> str:
        """The stored text of the policy in force; empty when there is none. RepositoryNotFound."""
        try:
            return await self._policies.get(ref)
        except RepositoryPolicyNotFound:
            return ""


@lru_cache(_TEXTS)
def _parsed(text: str) -> policy.Document:
    return policy.parse(text, policy.Kind.REPOSITORY)


@lru_cache(_TEXTS)
def _stops_all(text: str, account: AccountId) -> bool:
    """Whether nobody of the account, its root included, could set another policy."""
    return policy.locks_out(_parsed(text), account)


@lru_cache(2 * _TEXTS)
def _canonical(text: str, renamed: tuple[tuple[str, str], ...]) -> str:
    return _parsed(text).canonical(dict(renamed))


def _accepted(text: str, named: Mapping[str, Entity]) -> Accepted:
    ids, arns = ids_of(named), {each: entity.arn for each, entity in named.items()}
    return Accepted(_canonical(text, tuple(ids.items())), _canonical(text, tuple(arns.items())))


@lru_cache(_TEXTS)
def _findings(text: str, account: AccountId) -> str:
    return lint.as_header(lint.lint(text, policy.Kind.REPOSITORY, account=account))


def _lock_out() -> InvalidParameter:
    """No text of AWS's is known [guess]."""
    return InvalidParameter.at(_POLICY_TEXT, "The policy would prevent future policy changes; set force to true")
