"""Answers who can reach a repository, and what a principal can reach, from what is stored here."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access import guardrails
from moorage.access.authorize import REPOSITORY_POLICY, Access
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.analysis import matrix, matrix_subjects
from moorage.analysis.access_report import AccessPage, AccessRow, PolicyVersion, WidenedAccess
from moorage.analysis.matrix import ACTIONS, ApplicablePolicies, Matrix, TargetRepository
from moorage.analysis.matrix_subjects import MatrixSubject
from moorage.analysis.simulate import principal as principal_of_entity
from moorage.errors import InvalidParameter, RepositoryNotFound, RepositoryPolicyNotFound
from moorage.identity import arns
from moorage.identity.accounts.organizations import Members
from moorage.identity.identity import Identity
from moorage.identity.principals.entity import Entity
from moorage.names import AccountId, Region, RepositoryRef, repository_name
from moorage.pages import Room
from moorage.policy.catalog.actions import SIGN_IN
from moorage.registry.registry import Registry
from moorage.settings import Settings
from moorage.store.metadata.epoch import Epoch

READ_ACCESS: Final = "moorage:ReadAccess"
MAX_ROWS: Final = 500
"""Most rows in one page of a matrix."""
_NAMES_AT_ONCE: Final = 100
"""Repositories whose names are read together."""


class _Page:
    """Collects rows until a page is full."""

    def __init__(self, *, compares: bool) -> None:
        self._room = Room(MAX_ROWS)
        self._rows: list[AccessRow] = []
        self._widened: list[WidenedAccess] | None = [] if compares else None
        self._last = ""
        self._next: str | None = None

    def add(self, row: matrix.MatrixRow, before: matrix.MatrixRow | None, position: str) -> bool:
        """Add a row, and return True; False if the page is full. `position`: the position behind the row."""
        reported = matrix.report_row(row, before)
        gained = [] if before is None else matrix.widened(before, row)
        if not self._room.takes(len(msgspec.json.encode((reported, gained)))):
            self._next = self._last
            return False
        self._rows.append(reported)
        if self._widened is not None:
            self._widened += gained
        self._last = position
        return True

    def answer(self) -> AccessPage:
        return AccessPage(self._rows, self._widened, self._next)


def access_arn(account: str) -> str:
    """Return the ARN on which `moorage:ReadAccess` to the identities of an account is decided."""
    return f"arn:aws:moorage::{account}:access"


class Reachability:
    """Answers with the engine that decides requests.

    The caller must have authorized `READ_ACCESS` on the repository, or on `access_arn` of the account. `everywhere` is
    for the operator of the machine, who sees the users, roles and policies of every account that is stored here.
    """

    def __init__(
        self,
        identity: Identity,
        registry: Registry,
        access: Access,
        policy_check: RepositoryPolicyCheck,
        settings: Settings,
        *,
        everywhere: bool = False,
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._access = access
        self._check = policy_check
        self._settings = settings
        self._everywhere = everywhere

    async def of_repository(
        self,
        ref: RepositoryRef,
        version: PolicyVersion,
        before: tuple[RepositoryRef, PolicyVersion] | None,
        given: Mapping[str, str],
        after: str = "",
    ) -> AccessPage:
        """Return a page of who may do what with the repository.

        `before`: compare with another policy, of this or another repository. `after`: `next` of the previous page.
        For users and roles of other accounts the answer does not show what their own policies say, even if they are
        stored here: the reader only administers this repository. Raise RepositoryNotFound, InvalidParameter.
        """
        at, target = await self._target(ref, version)
        old = None
        if before is not None:
            _, old = await self._target(*before)
        documents = await self._documents(at, target, old)
        matrix_, page = Matrix(given), _Page(compares=old is not None)
        accounts = await self._accounts(ref.account)
        async for position, subject in self._subjects(at, accounts, documents, after):
            applicable = await self._applicable(at, subject, target)
            row = matrix_.row(subject, target, applicable)
            old_row = None if old is None else matrix_.row(subject, old, applicable)
            if not page.add(row, old_row, position):
                break
            await asyncio.sleep(0)  # serve other requests between rows
        return page.answer()

    async def of_principal(
        self, arn: str, account: AccountId, region: Region, given: Mapping[str, str], after: str = ""
    ) -> AccessPage:
        """Return a page of what a user, role or account can reach in the account's repositories.

        `after`: `next` of the previous page. Raise InvalidParameter.
        """
        subject = await self._subject(arn, account)
        matrix_, page = Matrix(given), _Page(compares=False)
        while names := await self._registry.repositories.names(account, region, after=after, limit=_NAMES_AT_ONCE):
            for name in names:
                try:
                    ref = RepositoryRef(account, region, repository_name(name))
                    at, target = await self._target(ref, PolicyVersion())
                except RepositoryNotFound:  # deleted meanwhile
                    continue
                row = matrix_.row(subject, target, await self._applicable(at, subject, target))
                if not page.add(row, None, name):
                    return page.answer()
                await asyncio.sleep(0)
            after = names[-1]
        return page.answer()

    async def _accounts(self, owner: AccountId) -> list[AccountId]:
        """Return the accounts whose users, roles and policies the reader may see; `owner` comes first."""
        others = await self._identity.accounts.known() if self._everywhere else []
        return list(dict.fromkeys((owner, *others)))

    async def _target(self, ref: RepositoryRef, version: PolicyVersion) -> tuple[Epoch, TargetRepository]:
        """Return the authorization epoch and the repository with that policy."""
        at = await self._registry.repositories.current_epoch()
        state = await self._registry.repositories.state(ref, at)
        if state is None:
            raise RepositoryNotFound(ref)
        document = await self._document(ref, version)
        named = None if document is None else policy.Named(REPOSITORY_POLICY, "", document)
        return at, TargetRepository(ref.arn, ref.account, ref.region, state.tags, named, self._settings.root_recovers)

    async def _applicable(
        self, at: Epoch, subject: MatrixSubject, target: TargetRepository
    ) -> dict[str, ApplicablePolicies]:
        """Return the policies besides the subject's and the repository's, by action. `at`: the current epoch."""
        open_sets: frozenset[policy.SetName] = frozenset()
        if subject.organization is not None:
            members = await self._identity.organizations.members(at)
            open_sets = guardrails.restricting(each for name, each in members.items() if name != target.account)
        applicable = {}
        for action in ACTIONS:
            account = AccountId(target.resource_of(subject, action)[1])
            found, keys = await self._access.applicable_policies(
                subject.principal, action, account, Region(target.region), at
            )
            own = action == SIGN_IN  # decided on the caller's own registry
            unknown: frozenset[str] = frozenset()
            if subject.organization is not None:
                unknown = matrix_subjects.ORGANIZATION_KEYS if own else matrix_subjects.PRINCIPALS_ORGANIZATION_KEYS
            applicable[action] = ApplicablePolicies(
                registry=() if own and not subject.is_known else tuple(found.resource or ()),
                scp=found.scp,
                rcp=found.rcp,
                keys=keys,
                absent=matrix_subjects.ORGANIZATION_KEYS.difference(keys, unknown),
                open_sets=open_sets if own else open_sets - {"rcp"},
            )
        return applicable

    async def _documents(self, at: Epoch, *targets: TargetRepository | None) -> list[policy.Document]:
        """Return the policies that may grant access: those of the repositories and of their registry."""
        found: dict[int, policy.Document] = {}
        for target in targets:
            if target is not None:
                root = matrix_subjects.account_root(target.account)
                applicable = await self._applicable(at, root, target)
                named = [each for one in applicable.values() for each in one.registry]
                named += [] if target.policy is None else [target.policy]
                found |= {id(each.document): each.document for each in named}
        return list(found.values())

    async def _subjects(
        self, at: Epoch, accounts: Sequence[AccountId], documents: Sequence[policy.Document], after: str
    ) -> AsyncIterator[tuple[str, MatrixSubject]]:
        """Yield all subjects with the position behind each: users and roles of the accounts, then all others."""
        section, _, name = after.rpartition("/")
        directories = (("user", self._identity.users), ("role", self._identity.roles))
        for account in accounts:
            for kind, directory in directories:
                here = f"{account}/{kind}"
                if section in {"", here}:
                    async for entity in directory.each(account, "/", after=name):
                        yield f"{here}/{entity.name.lower()}", await self._of_entity(entity)
                    section = name = ""
        begin = int(name) if name.isascii() and name.isdigit() else 0
        for number, subject in enumerate(await self._others(at, accounts, documents), 1):
            if number > begin:
                yield f"other/{number}", subject

    async def _others(
        self, at: Epoch, accounts: Sequence[AccountId], documents: Sequence[policy.Document]
    ) -> list[MatrixSubject]:
        """Return the other subjects: principals that policies name, and accounts without rows of their own."""
        owner = accounts[0]
        named = [each for each in await self._named_by_id(documents) if each.account not in accounts]
        rows = [await self._known_to(owner, entity) for entity in named]
        rows += [matrix_subjects.account_root(each) for each in accounts[1:]]
        for each in matrix_subjects.named_in(documents, owner):
            if each.principal.account not in accounts:
                rows.append(self._seen_from(owner, each))
            elif each.kind == "session":
                rows.append(await self._of_session(each))
            elif each.kind not in {"user", "role"} or await self._stored(each.name) is None:
                rows.append(each)
        rows += matrix_subjects.other_accounts(_organization(await self._identity.organizations.members(at)))
        rows.append(matrix_subjects.anonymous(pulls=self._settings.anonymous_pull))
        return matrix_subjects.distinct(rows)

    async def _stored(self, arn: str) -> Entity | None:
        """Return the user or role with this ARN, if it is stored here."""
        return await self._identity.users.by_arn(arn) or await self._identity.roles.by_arn(arn)

    async def _document(self, ref: RepositoryRef, version: PolicyVersion) -> policy.Document | None:
        policies = self._registry.repository_policies
        if version.text is not None:
            return await self._check.proposed(ref, version.text)
        name = version.hash
        if name is not None:
            past = {each.policy_hash for each in await policies.history(ref)}
            found = [each for each in past if each is not None and each.startswith(name)]
            if len(found) != 1 or len(name) < 6:
                raise InvalidParameter(f"the repository had no policy with the hash {name}")
            name = found[0]
        elif version.at is not None:
            then = [each for each in await policies.history(ref) if each.at <= version.at]
            name = then[-1].policy_hash if then else None
            if name is None:
                return None
        else:
            try:
                return policy.parse(await policies.get(ref), policy.Kind.REPOSITORY)
            except RepositoryPolicyNotFound:
                return None
        return policy.parse(await policies.document(name), policy.Kind.REPOSITORY)

    async def _named_by_id(self, documents: Iterable[policy.Document]) -> list[Entity]:
        """Return the users and roles that stored policies name by unique id."""
        entities = []
        for text in dict.fromkeys(text for document in documents for text in document.principals):
            if policy.is_unique_id(text):
                kept = self._identity.roles if text.startswith("AROA") else self._identity.users
                entity = await kept.by_id(text)
                entities += [] if entity is None else [entity]
        return entities

    async def _of_entity(self, entity: Entity) -> MatrixSubject:
        sets = await self._identity.credentials.policies_of(entity)
        policies = await self._access.own(sets)
        principal = principal_of_entity(entity)
        if entity.kind == "role":
            return matrix_subjects.role(principal, policies)
        return matrix_subjects.user(principal, policies, await self._identity.tags.of(entity.id))

    async def _of_session(self, subject: MatrixSubject) -> MatrixSubject:
        """Return a role session that a policy names, with the policies of its role if that is stored here."""
        named = subject.principal
        if named.kind != "role":
            return subject
        _, name, session = named.arn.rsplit("/", 2)
        role = await self._identity.roles.find(AccountId(named.account), name)
        if role is None:
            return subject
        kept = await self._of_entity(role)
        principal = msgspec.structs.replace(kept.principal, arn=named.arn, id=f"{role.id}:{session}")
        return msgspec.structs.replace(kept, name=subject.name, kind=subject.kind, principal=principal)

    async def _known_to(self, owner: AccountId, entity: Entity) -> MatrixSubject:
        """Return a user or role. Of another account than `owner`, only its name is shown."""
        if self._everywhere or entity.account == owner:
            return await self._of_entity(entity)
        return self._seen_from(owner, matrix_subjects.only_named(entity.arn, principal_of_entity(entity)))

    async def _subject(self, arn: str, owner: AccountId) -> MatrixSubject:
        if arn == "anonymous":
            return matrix_subjects.anonymous(pulls=self._settings.anonymous_pull)
        root = policy.account_named(arn)
        if root is not None:
            if root in await self._accounts(owner):
                return matrix_subjects.account_root(root)
            return self._seen_from(owner, matrix_subjects.any_of_account(root))
        said = arns.parse_identity(arn)
        principal = matrix_subjects.principal_of(arn)
        if said is None or principal is None:
            raise InvalidParameter(f"{arn} is not the ARN of a user, a role or an account")
        kept = self._identity.users if said.kind == "user" else self._identity.roles
        entity = await kept.by_arn(arn)
        if entity is not None:
            return await self._known_to(owner, entity)
        if said.account in await self._accounts(owner):
            raise InvalidParameter(f"there is no {said.kind} {arn} here")
        return self._seen_from(owner, matrix_subjects.only_named(arn, principal))

    def _seen_from(self, owner: AccountId, subject: MatrixSubject) -> MatrixSubject:
        """Return the subject as `owner` may see it: without what policies of another account say."""
        is_own = self._everywhere or subject.principal.account in {"", owner}
        return subject if is_own else msgspec.structs.replace(subject, is_private=True)


def _organization(members: Members) -> str | None:
    """Return the id of the organization, if there is one."""
    return next((member.organization for member in members.values()), None)
