"""Checks the text of a registry policy before it is stored, and knows to which requests a registry policy applies.

docs/development/policy-engine.md §1.3, §1.5.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from moorage import policy
from moorage.access.background_computation import in_thread, takes_long
from moorage.access.principals import Principals, UnknownPrincipal, has_unique_ids, ids_of, named_by
from moorage.errors import InvalidParameter, RegistryPolicyNotFound
from moorage.identity.principals.entity import Entity
from moorage.names import AccountId, Region
from moorage.policy import lint
from moorage.policy.catalog.actions import BETWEEN_REGISTRIES
from moorage.registry.registry_policies import rules
from moorage.registry.registry_policies.service import RegistryPolicies
from moorage.registry.registry_policies.types import RegistryState

_POLICY_TEXT = "PolicyText"


def reaching(action: str, state: RegistryState) -> str | None:
    """Return the hash of the registry policy if it applies to `action` on the registry or a repository in it.

    V2: to "all ECR requests" [aws]. Requests on no resource (GetAuthorizationToken, registry-wide calls) are taken to
    be among them [guess]; there only a statement with the resource `*` can match. Moorage's own actions on repositories
    are treated as ECR's.
    V1: to three actions; that CreateRepository also counts when a person makes the repository is a [guess].
    """
    return state.policy_hash if reaches(action, state) else None


def reaches(action: str, state: RegistryState) -> bool:
    """Return whether a registry policy of that scope applies to `action`, as in `reaching`."""
    return state.scope == "V2" or action in BETWEEN_REGISTRIES


def stored_registry_policy(conn: Connection, account: AccountId, region: Region, parsed: policy.Parsed) -> str:
    """Return the stored form of a registry policy, as `RegistryPolicyCheck.check_and_canonicalize` does."""
    try:
        document = parsed.document()
        in_force = _in_force(conn, account, region) if has_unique_ids(document) else ""
        named = named_by(conn, document, in_force)
    except policy.PolicyError as error:
        raise _invalid() from error
    except UnknownPrincipal as error:
        raise _unknown_principal() from error
    return _stored(document, rules.state(conn, account, region)[1].scope, named)


class RegistryPolicyCheck:
    """Checks a registry policy as ECR does. A lock-out is not checked [guess]."""

    def __init__(self, principals: Principals, policies: RegistryPolicies) -> None:
        self._principals = principals
        self._policies = policies
        self._last: policy.Parsed | None = None

    async def check_and_canonicalize(self, account: AccountId, region: Region, text: str) -> str:
        """Return the stored form of `text`. Raise InvalidParameter: not a policy of that scope, unknown principal."""
        scope = (await self._policies.state(account, region)).scope
        last = self._last  # set by the same call, which requested the findings before
        parsed = last if last is not None and last.text == text else policy.parsed(text, policy.Kind.REGISTRY)
        try:
            document = parsed.document()
            in_force = await self._text(account, region) if has_unique_ids(document) else ""
            named = await self._principals.named(document, in_force)
        except policy.PolicyError as error:
            raise _invalid() from error
        except UnknownPrincipal as error:
            raise _unknown_principal() from error
        return _stored(document, scope, named)

    async def findings(self, account: AccountId, text: str) -> str:
        """Return lint findings on `text` as the registry policy of `account`, as a header: ASCII, one line, bounded."""
        parsed, header = await in_thread(_linted, text, account) if takes_long(text) else _linted(text, account)
        self._last = parsed
        return header

    async def shown(self, stored: str) -> str:
        """Return the stored text as clients see it."""
        return await self._principals.shown(stored, policy.Kind.REGISTRY)

    async def _text(self, account: AccountId, region: Region) -> str:
        try:
            return await self._policies.get(account, region)
        except RegistryPolicyNotFound:
            return ""


def _in_force(conn: Connection, account: AccountId, region: Region) -> str:
    """Return the text of the policy in force; empty if there is none."""
    try:
        return rules.get(conn, account, region)
    except RegistryPolicyNotFound:
        return ""


def _stored(document: policy.Document, scope: str, named: Mapping[str, Entity]) -> str:
    if scope == "V1" and not _is_between_registries(document):
        raise _invalid()
    return document.canonical(ids_of(named))


def _linted(text: str, account: AccountId) -> tuple[policy.Parsed, str]:
    parsed = policy.parsed(text, policy.Kind.REGISTRY)
    header = lint.as_header(lint.lint_parsed(parsed, account=account))
    if not parsed.errors:
        parsed.document()
    return parsed, header


def _is_between_registries(document: policy.Document) -> bool:
    """Return whether it names only V1's actions and `ecr:*`. Other wildcards and NotAction are refused [guess]."""
    known = {"ecr:*", *map(str.lower, BETWEEN_REGISTRIES)}
    return all(statement.actions.lists_only(known) for statement in document.statements)


def _unknown_principal() -> InvalidParameter:
    return InvalidParameter.at(_POLICY_TEXT, "Principal not found")


def _invalid() -> InvalidParameter:
    return InvalidParameter.at(_POLICY_TEXT, "Invalid registry policy provided")
