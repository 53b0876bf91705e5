"""Who can reach a repository, and what somebody can reach, of those who are kept here."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import msgspec

from moorage import policy
from moorage.access import matrix
from moorage.access.authorize import Access, NamedResource
from moorage.access.caller import Caller, Connection
from moorage.access.matrix import CAPABILITIES, Cell, Matrix, Person, Place, Widened, distinct, named_in
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.access.simulate import principal as principal_of_entity
from moorage.errors import InvalidParameter, RepositoryNotFound, RepositoryPolicyNotFound
from moorage.identity import arns
from moorage.identity.entity import Entity
from moorage.identity.identity import Identity
from moorage.names import AccountId, InvalidNameError, Region, RepositoryRef, repository_name
from moorage.registry.registry import Registry
from moorage.settings import Settings

READ_ACCESS: Final = "moorage:ReadAccess"
MOST: Final = 5_000
"""Users, roles or repositories in one matrix; more are left out, and that is said."""
_PAGE: Final = 500


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which policy of a repository; the one in force when nothing is said."""

    text: str | None = None
    hash: str | None = None
    at: float | None = None
    """The one that was in force then, in seconds since the epoch."""
    repository: str | None = None
    """That of another repository of the account and region."""


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """A row of the answer. `before`: of a comparison."""

    who: str
    kind: str
    repository: str
    cells: Mapping[str, Cell]
    before: Mapping[str, Cell] | None = None


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """The matrix."""

    rows: list[Line]
    widened: list[Widened] | None
    """Of a comparison: who may do more than before."""
    more: bool
    """Whether there are more users, roles or repositories than are told."""


def access_arn(account: str) -> str:
    """What `moorage:ReadAccess` on the identities of an account is decided on."""
    return f"arn:aws:moorage::{account}:access"


class Reach:
    """Answers from what is kept here, by the engine that decides requests."""

    def __init__(
        self,
        identity: Identity,
        registry: Registry,
        access: Access,
        policy_check: RepositoryPolicyCheck,
        settings: Settings,
    ) -> None:
        self._identity = identity
        self._registry = registry
        self._access = access
        self._check = policy_check
        self._settings = settings

    async def of_repository(
        self,
        caller: Caller,
        connection: Connection,
        ref: RepositoryRef,
        version: Version,
        before: Version | None,
        given: Mapping[str, str],
    ) -> Answer:
        """Who may do what with the repository; with `before`, compared with another policy.

        Users and roles of other accounts are told to whoever may `moorage:ReadAccess` there, too; else what the policy
        says of their accounts. RepositoryNotFound, InvalidParameter.
        """
        place = await self._place(ref, version)
        old = None if before is None else await self._place(*await self._compared(caller, connection, ref, before))
        documents = [each.document for one in (place, old) if one is not None for each in one.policies or ()]
        named = named_in(documents, ref.account)
        people: list[Person] = []
        accounts = dict.fromkeys([ref.account, *(AccountId(each.principal.account) for each in named)])
        for account in accounts:
            if account == ref.account or await self._may_read(caller, connection, account):
                people += [each async for each in self._kept_in(account, MOST + 1 - len(people))]
        more = len(people) > MOST
        del people[MOST:]
        people += await self._named_by_id(documents)
        filled = Matrix(given)
        rows, widened = [], []
        for person in distinct([*people, *named]):
            row = filled.row(person, place)
            past = None if old is None else filled.row(person, old)
            rows.append(_line(row, past))
            if past is not None:
                widened += matrix.widened(past, row)
        return Answer(rows, None if old is None else widened, more)

    async def of_principal(
        self,
        caller: Caller,
        connection: Connection,
        arn: str,
        account: AccountId,
        region: Region,
        given: Mapping[str, str],
    ) -> Answer:
        """What a user, role or account can reach in the account's repositories. AccessDenied, InvalidParameter."""
        await self._require(caller, connection, account)
        person = await self._person(caller, connection, arn, account)
        filled = Matrix(given)
        rows: list[Line] = []
        after = ""
        while True:
            names = await self._registry.repositories.names(account, region, after=after, limit=_PAGE)
            for name in names:
                if len(rows) == MOST:
                    return Answer(rows, None, more=True)
                try:
                    place = await self._place(RepositoryRef(account, region, repository_name(name)), Version())
                except RepositoryNotFound:  # deleted just now
                    continue
                rows.append(_line(filled.row(person, place), None))
            if len(names) < _PAGE:
                return Answer(rows, None, more=False)
            after = names[-1]

    async def _compared(
        self, caller: Caller, connection: Connection, ref: RepositoryRef, before: Version
    ) -> tuple[RepositoryRef, Version]:
        if before.repository is None:
            return ref, before
        try:
            other = ref._replace(name=repository_name(before.repository))
        except InvalidNameError as error:
            raise InvalidParameter(str(error)) from error
        await self._access.require(caller, connection, READ_ACCESS, other)
        return other, msgspec.structs.replace(before, repository=None)

    async def _require(self, caller: Caller, connection: Connection, account: AccountId) -> None:
        await self._access.require(caller, connection, READ_ACCESS, NamedResource(account, access_arn(account)))

    async def _may_read(self, caller: Caller, connection: Connection, account: AccountId) -> bool:
        resource = NamedResource(account, access_arn(account))
        return bool(account) and await self._access.sees(caller, connection, READ_ACCESS, resource)

    async def _place(self, ref: RepositoryRef, version: Version) -> Place:
        state = await self._registry.repositories.state(ref)
        if state is None:
            raise RepositoryNotFound(ref)
        document = await self._document(ref, version)
        named = None if document is None else (policy.Named("RepositoryPolicy", "", document),)
        return Place(ref.arn, ref.account, ref.region, state.tags, named, self._settings.root_recovers)

    async def _document(self, ref: RepositoryRef, version: Version) -> policy.Document | None:
        policies = self._registry.policies
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

    async def _kept_in(self, account: AccountId, most: int) -> AsyncIterator[Person]:
        """Users and roles of the account, `most` at most."""
        for page in (self._identity.users.page, self._identity.roles.page):
            after = ""
            while most > 0:
                found = await page(account, "/", after=after, limit=min(_PAGE, most))
                for entity in found:
                    yield await self._of_entity(entity)
                most -= len(found)
                if len(found) < _PAGE:
                    break
                after = found[-1].name.lower()

    async def _named_by_id(self, documents: Iterable[policy.Document]) -> list[Person]:
        """Users and roles that the policies name, as they are stored: by unique id."""
        people = []
        for text in dict.fromkeys(text for document in documents for text in document.principals()):
            if policy.is_unique_id(text):
                kept = self._identity.roles if text.startswith("AROA") else self._identity.users
                entity = await kept.by_id(text)
                people += [] if entity is None else [await self._of_entity(entity)]
        return people

    async def _of_entity(self, entity: Entity) -> Person:
        sets = await self._identity.credentials.policies_of(entity)
        policies = await self._access.beside(sets, None)
        principal = principal_of_entity(entity)
        if entity.kind == "role":
            return matrix.role(principal, policies)
        return matrix.user(principal, policies, await self._identity.tags.of(entity.id))

    async def _person(self, caller: Caller, connection: Connection, arn: str, account: AccountId) -> Person:
        if arn == "anonymous":
            return matrix.anonymous()
        root = policy.account_named(arn)
        if root is not None:
            return matrix.account_root(root) if root == account else matrix.any_of_account(root)
        said = arns.parse_identity(arn)
        if said is None or said.kind not in {"user", "role"}:
            raise InvalidParameter(f"{arn} is not the ARN of a user, a role or an account")
        if said.account != account:
            await self._require(caller, connection, said.account)
        kept = self._identity.users if said.kind == "user" else self._identity.roles
        entity = await kept.by_arn(arn)
        if entity is None:
            raise InvalidParameter(f"there is no {said.kind} {arn} here")
        return await self._of_entity(entity)


def _line(row: matrix.Row, past: matrix.Row | None) -> Line:
    cells = {name: row.cell(name) for name in CAPABILITIES}
    before = None if past is None else {name: past.cell(name) for name in CAPABILITIES}
    return Line(row.person.name, row.person.kind, row.place.arn, cells, before)
