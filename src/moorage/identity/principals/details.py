"""Every identity and managed policy of an account with its documents, in an order that pages follow."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlalchemy import Connection

from moorage.identity.policies import managed_policies
from moorage.identity.policies.managed_policies import ManagedPolicy, PolicyVersion
from moorage.identity.principals.entity import ROLE, USER, Entity, Role, entity_of, role_of
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies

_ORDER: Final = ("aws", "group", "policy", "role", "user")


PAGE_CHARACTERS: Final = 1 << 20
"""The most characters of documents in one page. The response has them percent-encoded."""
_ROWS: Final = 50  # identities read together: each needs several statements of its own


class InlinePolicy(NamedTuple):
    """An inline policy."""

    name: str
    text: str


class Details(NamedTuple):
    """A user, group or role (`entity`) or a managed policy (`policy`)."""

    kind: str
    """`user`, `group`, `role`, `policy`, `aws`."""
    position: str
    """Its position in the order; the next page begins after it."""
    entity: Entity | None = None
    role: Role | None = None
    groups: tuple[str, ...] = ()
    """The names of the groups of a user."""
    inline: tuple[InlinePolicy, ...] = ()
    attached: tuple[ManagedPolicy, ...] = ()
    boundary: str | None = None
    """The ARN of the permissions boundary."""
    tags: Mapping[str, str] = MappingProxyType({})
    policy: ManagedPolicy | None = None
    versions: tuple[PolicyVersion, ...] = ()


class AccountDetails:
    """Reads everything that an account has."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, account: AccountId, kinds: Collection[str], *, after: str = "", limit: int) -> list[Details]:
        """Return the first value of `truncated_page`; it is empty after the last page."""
        return (await self.truncated_page(account, kinds, after=after, limit=limit))[0]

    async def truncated_page(
        self, account: AccountId, kinds: Collection[str], *, after: str = "", limit: int
    ) -> tuple[list[Details], bool]:
        """Return the next details whose `kind` is in `kinds` after a position, and whether there are more.

        There are at most `limit`, and fewer if their documents have more than `PAGE_CHARACTERS` together. AWS's
        policies are included only if they are used, unless `kinds` contains nothing else.
        """

        def work(conn: Connection) -> tuple[list[Details], bool]:
            found: list[Details] = []
            room = PAGE_CHARACTERS
            for each in _following(conn, account, kinds, after):
                room -= _characters(each)
                if found and (room < 0 or len(found) == limit):
                    return found, True
                found.append(each)
            return found, False

        return await self._db.read(work)


def _characters(details: Details) -> int:
    documents = [*(each.text for each in details.inline), *(each.text for each in details.versions)]
    if details.role is not None:
        documents.append(details.role.trust)
    return 2048 + sum(map(len, documents))


def _following(conn: Connection, account: AccountId, kinds: Collection[str], after: str) -> Iterator[Details]:
    """Iterate over all details after the position, reading each when it is needed."""
    last_kind, _, last_name = after.partition("/")
    for kind in _ORDER:
        if kind not in kinds or kind < last_kind:
            continue
        name = last_name if kind == last_kind else ""
        if kind in {"aws", "policy"}:
            yield from _policies(conn, account, kind, name, every=set(kinds) == {"aws"})
            continue
        while page := _page(conn, kind, account, name):
            for entity in page:
                yield _details(conn, entity)
            name = identities.folded(page[-1].name)


def _page(conn: Connection, kind: str, account: AccountId, after: str) -> Sequence[Entity]:
    if kind == ROLE.name:
        return [role_of(row) for row in identities.roles_page(conn, account, "/", after, _ROWS)]
    return [entity_of(row) for row in identities.page(conn, kind, account, "/", after, _ROWS)]


def _policies(conn: Connection, account: AccountId, kind: str, after: str, *, every: bool) -> Iterator[Details]:
    found: Iterable[ManagedPolicy] = managed_policies.each_of_account(conn, account, after)
    if kind == "aws":
        listed = managed_policies.of_aws(conn, account)
        in_use = [each for each in listed if every or each.attached or each.bounding]
        found = [each for each in in_use if identities.folded(each.name) > after]
    for each in found:
        position = f"{kind}/{identities.folded(each.name)}"
        yield Details(kind, position, policy=each, versions=tuple(managed_policies.versions(conn, each)))


def _details(conn: Connection, entity: Entity) -> Details:
    wanted = identity_policies.attached(conn, entity.id)
    boundary_id = entity.boundary_id
    policies = managed_policies.by_ids(conn, [*wanted, *([] if boundary_id is None else [boundary_id])])
    groups = identities.groups_of(conn, entity.id) if entity.kind == USER.name else ()
    return Details(
        entity.kind,
        f"{entity.kind}/{identities.folded(entity.name)}",
        entity,
        entity if isinstance(entity, Role) else None,
        tuple(group.name for group in groups),
        tuple(InlinePolicy(name, text) for name, text in identity_policies.inline_texts(conn, entity.id).items()),
        tuple(policies[each] for each in wanted if each in policies),
        policies[boundary_id].arn if boundary_id is not None and boundary_id in policies else None,
        identities.tags(conn, entity.id),
    )
