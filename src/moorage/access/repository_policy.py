"""Checks the text of a repository policy before it is stored (docs/development/policy-engine.md §1, §5)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection as SqlConnection

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.background_computation import in_thread, takes_long
from moorage.access.caller import Caller, Connection
from moorage.access.principals import Principals, UnknownPrincipal, has_unique_ids, ids_of, named_by
from moorage.cache import Cache
from moorage.errors import InvalidParameter, RepositoryPolicyNotFound
from moorage.identity.principals.entity import Entity
from moorage.names import AccountId, RepositoryRef
from moorage.policy import lint
from moorage.registry.repository_policies import rules
from moorage.registry.repository_policies.service import RepositoryPolicies

_POLICY_TEXT = "PolicyText"
MAX_TEXT = 10_240
"""Most characters of a repository policy that SetRepositoryPolicy accepts."""
_TEXTS = 8 << 20
"""Bytes of the cache of parsed texts: the same policy is often set on many repositories in turn."""
_PER_CHARACTER = 100
"""Bytes for each character of a parsed text, with its JSON, elements, positions and compiled form: 26 for an ordinary
policy, 107 for one of short conditions only (tracemalloc, Python 3.11)."""


class Accepted(NamedTuple):
    """An accepted policy, as it is stored and as clients see it."""

    stored: str
    shown: str


class Submission:
    """A repository policy that a transaction is going to store.

    It is parsed in the transaction: the parsed policies of a whole declarative file take a hundred times its size.
    """

    def __init__(self, ref: RepositoryRef, text: str, would_allow: Callable[[policy.Document], bool] | None) -> None:
        """`would_allow`: tells whether the caller could change the policy again; None: the operator always can."""
        self._ref = ref
        self._text = text
        self._would_allow = would_allow

    def stored(self, conn: SqlConnection) -> str:
        """Return the stored form of the policy. `conn`: of the transaction, in which the principals are looked up.

        InvalidParameter: not a policy, an unknown principal, or a lock-out.
        """
        text = _Text(self._text)
        try:
            document = text.parsed.document()
            in_force = _in_force(conn, self._ref) if has_unique_ids(document) else ""
            named = named_by(conn, document, in_force)
        except policy.PolicyError as error:
            raise _invalid() from error
        except UnknownPrincipal as error:
            if policy.is_unique_id(str(error)):
                raise InvalidParameter("The policy names the id of a user or role that no longer exists.") from error
            raise _unknown_principal() from error
        if text.stops_all(self._ref.account):
            raise _lock_out()
        if self._would_allow is not None and not self._would_allow(text.stored(named)):
            raise _lock_out()
        return text.accepted(named).stored


class RepositoryPolicyCheck:
    """Checks a repository policy as ECR does, and returns its stored form."""

    def __init__(self, access: Access, principals: Principals, policies: RepositoryPolicies) -> None:
        self._access = access
        self._principals = principals
        self._policies = policies
        self._texts: Cache[str, _Text] = Cache("policies_being_set", _TEXTS, lambda _, found: found.size)

    async def _text(self, text: str, account: AccountId) -> "_Text":
        found = self._texts.get(text)
        if found is None:
            found = await in_thread(_prepared, text, account) if takes_long(text) else _Text(text)
            self._texts.keep(text, found)
        return found

    async def check_and_canonicalize(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, text: str, force: bool
    ) -> Accepted:
        """Return the two forms of `text`.

        Raise InvalidParameter for a text that is not a policy, an unknown principal, or a lock-out without `force`.
        """
        found, named = await self._read(ref, text)
        accepted = found.accepted(named)
        if not force:
            if found.stops_all(ref.account):
                raise _lock_out()
            document = found.stored(named)
            if not await self._access.would_allow(caller, connection, "ecr:SetRepositoryPolicy", ref, document):
                raise _lock_out()
        return accepted

    async def submission(self, call: tuple[Caller, Connection] | None, ref: RepositoryRef, text: str) -> Submission:
        """Return `text` for a transaction that sets it as the policy of `ref`.

        `call`: the caller, who must be able to change the policy again, and the connection. None: the operator of the
        machine, whom no policy binds; but the policy may not lock out the whole account.
        """
        if call is None:
            return Submission(ref, text, None)
        return Submission(ref, text, await self._access.proposal(*call, "ecr:SetRepositoryPolicy", ref))

    async def _read(self, ref: RepositoryRef, text: str) -> tuple["_Text", Mapping[str, Entity]]:
        """Return the parsed text and the users and roles that it names."""
        found = await self._text(text, ref.account)
        try:
            return found, await self._named(ref, found.parsed.document())
        except policy.PolicyError as error:
            raise _invalid() from error
        except UnknownPrincipal as error:
            raise _unknown_principal() from error

    async def proposed(self, ref: RepositoryRef, text: str) -> policy.Document:
        """Return `text` as it would be stored, for a trial. Raise InvalidParameter with more detail than ECR gives."""
        if len(text) > MAX_TEXT:
            raise InvalidParameter(f"a repository policy has at most {MAX_TEXT} characters; this one has {len(text)}")
        try:
            document = policy.parse(text, policy.Kind.REPOSITORY)
            ids = ids_of(await self._named(ref, document))
            return document.stored_as(document.canonical(ids), ids) if ids else document
        except policy.PolicyError as error:
            raise InvalidParameter(f"not a repository policy: {error.reason}, at {error.pointer or '/'}") from error
        except UnknownPrincipal as error:
            raise InvalidParameter(f"Principal not found: {error}") from error

    async def _named(self, ref: RepositoryRef, document: policy.Document) -> Mapping[str, Entity]:
        in_force = await self.in_force(ref) if has_unique_ids(document) else ""
        return await self._principals.named(document, in_force)

    async def findings(self, ref: RepositoryRef, text: str) -> str:
        """Return lint findings on `text` as the policy of `ref`, as a header: ASCII, one line, bounded."""
        return (await self._text(text, ref.account)).findings(ref.account)

    async def shown(self, stored: str) -> str:
        """Return the stored text as clients see it."""
        return await self._principals.shown(stored, policy.Kind.REPOSITORY)

    async def in_force(self, ref: RepositoryRef) -> str:
        """Return the stored text of the policy in force; empty if there is none. Raise RepositoryNotFound."""
        try:
            return await self._policies.get(ref)
        except RepositoryPolicyNotFound:
            return ""


class _Text:
    """A text that is to be set, parsed once for all checks."""

    __slots__ = ("_accepted", "_findings", "_stored", "parsed", "size")

    def __init__(self, text: str) -> None:
        self.parsed = policy.parsed(text, policy.Kind.REPOSITORY)
        # Results for the last account and principals, which are mostly the same again. A policy that cannot be set only
        # has findings.
        self._findings: tuple[AccountId, str] | None = None
        self._accepted: tuple[dict[str, str], dict[str, str], Accepted] | None = None
        self._stored: policy.Document | None = None
        self.size = _PER_CHARACTER * len(text)

    def findings(self, account: AccountId) -> str:
        """Return the header, as `RepositoryPolicyCheck.findings`."""
        if self._findings is None or self._findings[0] != account:
            self._findings = account, lint.as_header(lint.lint_parsed(self.parsed, account=account))
        return self._findings[1]

    def accepted(self, named: Mapping[str, Entity]) -> Accepted:
        """Return its two forms, if it names those users and roles."""
        ids, arns = ids_of(named), {each: entity.arn for each, entity in named.items() if each != entity.arn}
        known = self._accepted
        if known is None or known[:2] != (ids, arns):
            stored = self.parsed.canonical(ids)
            known = self._accepted = (
                ids,
                arns,
                Accepted(stored, self.parsed.canonical(arns) if ids or arns else stored),
            )
            self._stored = None
        return known[2]

    def stored(self, named: Mapping[str, Entity]) -> policy.Document:
        """Return the compiled form of what will be stored."""
        accepted = self.accepted(named)
        if self._stored is None:
            self._stored = self.parsed.document().stored_as(accepted.stored, ids_of(named))
        return self._stored

    def stops_all(self, account: AccountId) -> bool:
        """Return whether nobody in the account, not even its root user, could set another policy."""
        return policy.locks_out(self.parsed.document(), account)


def _prepared(text: str, account: AccountId) -> _Text:
    """Return the parsed text after all slow computations."""
    found = _Text(text)
    found.findings(account)
    if not found.parsed.errors:
        found.stored({})
    return found


def _in_force(conn: SqlConnection, ref: RepositoryRef) -> str:
    """Return the text of the policy in force; empty if there is none. RepositoryNotFound."""
    try:
        return rules.get(conn, ref)
    except RepositoryPolicyNotFound:
        return ""


def _invalid() -> InvalidParameter:
    return InvalidParameter.at(_POLICY_TEXT, "Invalid repository policy provided")


def _unknown_principal() -> InvalidParameter:
    return InvalidParameter.at(_POLICY_TEXT, "Principal not found")


def _lock_out() -> InvalidParameter:
    """Return the error for a lock-out; AWS's message is not known [guess]."""
    return InvalidParameter.at(_POLICY_TEXT, "The policy would prevent future policy changes; set force to true")
