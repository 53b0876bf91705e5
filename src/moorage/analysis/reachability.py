"""Who can reach a repository, and what somebody can reach, of those who are kept here."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from moorage import policy
from moorage.access import guardrails
from moorage.access.authorize import REPOSITORY_POLICY, Access
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.analysis import matrix, matrix_principals
from moorage.analysis.matrix import ACTIONS, CAPABILITIES, Cell, Matrix, Place, Surroundings, Widened
from moorage.analysis.matrix_principals import Person
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
MOST: Final = 500
"""Rows in one page of a matrix."""
_AT_A_TIME: Final = 100
"""Repositories whose names are read together."""


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
    note: str = ""
    """What else must be said of it."""


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """A page of the matrix."""

    rows: list[Line]
    widened: list[Widened] | None
    """Of a comparison: who of these may do more than before."""
    next: str | None
    """`after` of the next page; None: this is the last one."""


class _Page:
    """Collects the rows of an answer as long as there is room for them."""

    def __init__(self, *, compares: bool) -> None:
        self._room = Room(MOST)
        self._rows: list[Line] = []
        self._widened: list[Widened] | None = [] if compares else None
        self._last = ""
        self._next: str | None = None

    def takes(self, row: matrix.Row, past: matrix.Row | None, position: str) -> bool:
        """False if the row belongs to the next page. `position`: behind it."""
        line = _line(row, past)
        gained = [] if past is None else matrix.widened(past, row)
        if not self._room.takes(len(msgspec.json.encode((line, gained)))):
            self._next = self._last
            return False
        self._rows.append(line)
        if self._widened is not None:
            self._widened += gained
        self._last = position
        return True

    def answer(self) -> Answer:
        return Answer(self._rows, self._widened, self._next)


def access_arn(account: str) -> str:
    """What `moorage:ReadAccess` on the identities of an account is decided on."""
    return f"arn:aws:moorage::{account}:access"


class Reach:
    """Answers from what is kept here, by the engine that decides requests.

    The door decides who may ask: `READ_ACCESS` on the repository, or on `access_arn` of the account. `everywhere`: for
    whoever runs the machine. Then the users, roles and policies of every account that is kept here are shown.
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
        version: Version,
        before: tuple[RepositoryRef, Version] | None,
        given: Mapping[str, str],
        after: str = "",
    ) -> Answer:
        """Who may do what with the repository; with `before`, compared with another policy, of it or of another one.

        `after`: `next` of the page before.

        Of other accounts' users and roles, kept here or not, what their own policies say is not told: who may read this
        repository's access has no say there. RepositoryNotFound, InvalidParameter.
        """
        at, place = await self._place(ref, version)
        old = None
        if before is not None:
            _, old = await self._place(*before)
        documents = await self._documents(at, place, old)
        filled, page = Matrix(given), _Page(compares=old is not None)
        accounts = await self._accounts(ref.account)
        async for position, person in self._people(at, accounts, documents, after):
            around = await self._around(at, person, place)
            row = filled.row(person, place, around)
            past = None if old is None else filled.row(person, old, around)
            if not page.takes(row, past, position):
                break
            await asyncio.sleep(0)  # others take their turn between rows
        return page.answer()

    async def of_principal(
        self, arn: str, account: AccountId, region: Region, given: Mapping[str, str], after: str = ""
    ) -> Answer:
        """What a user, role or account can reach in the account's repositories. InvalidParameter.

        `after`: `next` of the page before.
        """
        person = await self._person(arn, account)
        filled, page = Matrix(given), _Page(compares=False)
        while names := await self._registry.repositories.names(account, region, after=after, limit=_AT_A_TIME):
            for name in names:
                try:
                    at, place = await self._place(RepositoryRef(account, region, repository_name(name)), Version())
                except RepositoryNotFound:  # deleted just now
                    continue
                row = filled.row(person, place, await self._around(at, person, place))
                if not page.takes(row, None, name):
                    return page.answer()
                await asyncio.sleep(0)
            after = names[-1]
        return page.answer()

    async def _accounts(self, owner: AccountId) -> list[AccountId]:
        """The accounts whose users, roles and policies the asker may know; that of the repository first."""
        others = await self._identity.accounts.known() if self._everywhere else []
        return list(dict.fromkeys((owner, *others)))

    async def _place(self, ref: RepositoryRef, version: Version) -> tuple[Epoch, Place]:
        """The authorisation epoch, and the repository with that policy."""
        at = await self._registry.repositories.current_epoch()
        state = await self._registry.repositories.state(ref, at)
        if state is None:
            raise RepositoryNotFound(ref)
        document = await self._document(ref, version)
        named = None if document is None else policy.Named(REPOSITORY_POLICY, "", document)
        return at, Place(ref.arn, ref.account, ref.region, state.tags, named, self._settings.root_recovers)

    async def _around(self, at: Epoch, person: Person, place: Place) -> dict[str, Surroundings]:
        """What counts beside the person's own policies and the repository's, by action, under the epoch `at`."""
        open_sets: frozenset[policy.SetName] = frozenset()
        if person.organization is not None:
            members = await self._identity.organizations.members(at)
            open_sets = guardrails.restricting(each for name, each in members.items() if name != place.account)
        around = {}
        for action in ACTIONS:
            account = AccountId(place.asked_of(person, action)[1])
            found, keys = await self._access.surrounding(person.principal, action, account, Region(place.region), at)
            own = action == SIGN_IN  # asked of the caller's own registry
            unknown: frozenset[str] = frozenset()
            if person.organization is not None:
                unknown = matrix_principals.ORGANIZATION_KEYS if own else matrix_principals.PRINCIPALS_ORGANIZATION_KEYS
            around[action] = Surroundings(
                registry=() if own and not person.is_known else tuple(found.resource or ()),
                scp=found.scp,
                rcp=found.rcp,
                keys=keys,
                absent=matrix_principals.ORGANIZATION_KEYS.difference(keys, unknown),
                open_sets=open_sets if own else open_sets - {"rcp"},
            )
        return around

    async def _documents(self, at: Epoch, *places: Place | None) -> list[policy.Document]:
        """The policies that may let somebody come: those of the repository, and of its registry."""
        found: dict[int, policy.Document] = {}
        for place in places:
            if place is not None:
                around = await self._around(at, matrix_principals.account_root(place.account), place)
                named = [each for one in around.values() for each in one.registry]
                named += [] if place.policy is None else [place.policy]
                found |= {id(each.document): each.document for each in named}
        return list(found.values())

    async def _people(
        self, at: Epoch, accounts: Sequence[AccountId], documents: Sequence[policy.Document], after: str
    ) -> AsyncIterator[tuple[str, Person]]:
        """Everybody who has a row, with the position behind it: users and roles of the accounts, then all others."""
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
        for number, person in enumerate(await self._others(at, accounts, documents), 1):
            if number > begin:
                yield f"other/{number}", person

    async def _others(
        self, at: Epoch, accounts: Sequence[AccountId], documents: Sequence[policy.Document]
    ) -> list[Person]:
        """Everyone else who has a row: principals that policies name, and the other accounts of the organization."""
        owner = accounts[0]
        named = [each for each in await self._named_by_id(documents) if each.account not in accounts]
        rows = [await self._known_to(owner, entity) for entity in named]
        rows += [matrix_principals.account_root(each) for each in accounts[1:]]
        for each in matrix_principals.named_in(documents, owner):
            if each.principal.account not in accounts:
                rows.append(self._seen_from(owner, each))
            elif each.kind == "session":
                rows.append(await self._of_session(each))
            elif each.kind not in {"user", "role"} or await self._kept(each.name) is None:
                rows.append(each)
        rows += matrix_principals.other_accounts(_organization(await self._identity.organizations.members(at)))
        rows.append(matrix_principals.anonymous(pulls=self._settings.anonymous_pull))
        return matrix_principals.distinct(rows)

    async def _kept(self, arn: str) -> Entity | None:
        """The user or role that has this ARN."""
        return await self._identity.users.by_arn(arn) or await self._identity.roles.by_arn(arn)

    async def _document(self, ref: RepositoryRef, version: Version) -> policy.Document | None:
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
        """Users and roles that the policies name, as they are stored: by unique id."""
        entities = []
        for text in dict.fromkeys(text for document in documents for text in document.principals):
            if policy.is_unique_id(text):
                kept = self._identity.roles if text.startswith("AROA") else self._identity.users
                entity = await kept.by_id(text)
                entities += [] if entity is None else [entity]
        return entities

    async def _of_entity(self, entity: Entity) -> Person:
        sets = await self._identity.credentials.policies_of(entity)
        policies = await self._access.own(sets)
        principal = principal_of_entity(entity)
        if entity.kind == "role":
            return matrix_principals.role(principal, policies)
        return matrix_principals.user(principal, policies, await self._identity.tags.of(entity.id))

    async def _of_session(self, person: Person) -> Person:
        """A role session that a policy names, with the policies of its role if that is kept here."""
        named = person.principal
        if named.kind != "role":
            return person
        _, name, session = named.arn.rsplit("/", 2)
        role = await self._identity.roles.find(AccountId(named.account), name)
        if role is None:
            return person
        kept = await self._of_entity(role)
        principal = msgspec.structs.replace(kept.principal, arn=named.arn, id=f"{role.id}:{session}")
        return msgspec.structs.replace(kept, name=person.name, kind=person.kind, principal=principal)

    async def _known_to(self, owner: AccountId, entity: Entity) -> Person:
        """A user or role; of another account no more than its name, though it is kept here."""
        if self._everywhere or entity.account == owner:
            return await self._of_entity(entity)
        return self._seen_from(owner, matrix_principals.only_named(entity.arn, principal_of_entity(entity)))

    async def _person(self, arn: str, owner: AccountId) -> Person:
        if arn == "anonymous":
            return matrix_principals.anonymous(pulls=self._settings.anonymous_pull)
        root = policy.account_named(arn)
        if root is not None:
            if root in await self._accounts(owner):
                return matrix_principals.account_root(root)
            return self._seen_from(owner, matrix_principals.any_of_account(root))
        said = arns.parse_identity(arn)
        principal = matrix_principals.principal_of(arn)
        if said is None or principal is None:
            raise InvalidParameter(f"{arn} is not the ARN of a user, a role or an account")
        kept = self._identity.users if said.kind == "user" else self._identity.roles
        entity = await kept.by_arn(arn)
        if entity is not None:
            return await self._known_to(owner, entity)
        if said.account in await self._accounts(owner):
            raise InvalidParameter(f"there is no {said.kind} {arn} here")
        return self._seen_from(owner, matrix_principals.only_named(arn, principal))

    def _seen_from(self, owner: AccountId, person: Person) -> Person:
        """Return the person as the owner's account may see it: without what another account's own policies say."""
        is_own = self._everywhere or person.principal.account in {"", owner}
        return person if is_own else msgspec.structs.replace(person, discreet=True)


def _line(row: matrix.Row, past: matrix.Row | None) -> Line:
    cells = {name: row.cell(name) for name in CAPABILITIES}
    before = None if past is None else {name: past.cell(name) for name in CAPABILITIES}
    return Line(row.person.name, row.person.kind, row.place.arn, cells, before, row.person.note)


def _organization(members: Members) -> str | None:
    """The id of the organisation, if there is one."""
    return next((member.organization for member in members.values()), None)
