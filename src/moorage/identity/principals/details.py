"""Everything an account has of identities and policies, with all they say, in one order for pages."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from moorage.identity.policies import managed_policies
from moorage.identity.policies.managed_policies import ManagedPolicy, PolicyVersion
from moorage.identity.principals.entity import Entity, Role, entity_of, role_of
from moorage.names import AccountId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.identity import identities, identity_policies

_ORDER: Final = ("aws", "group", "policy", "role", "user")


PAGE_CHARACTERS: Final = 1 << 20
"""Of documents in one page, which are percent-encoded in the answer."""
_ROWS: Final = 50  # identities read at a time: each has a handful of statements of its own


class Held(NamedTuple):
    """An inline policy."""

    name: str
    text: str


class Details(NamedTuple):
    """A user, group or role (`entity`) or a managed policy (`policy`)."""

    kind: str
    """`user`, `group`, `role`, `policy`, `aws`."""
    position: str
    """Its place in the order; a page goes on after it."""
    entity: Entity | None = None
    role: Role | None = None
    groups: tuple[str, ...] = ()
    """Of a user, the names of its groups."""
    inline: tuple[Held, ...] = ()
    attached: tuple[ManagedPolicy, ...] = ()
    boundary: str | None = None
    """ARN of the permissions boundary."""
    tags: Mapping[str, str] = MappingProxyType({})
    policy: ManagedPolicy | None = None
    versions: tuple[PolicyVersion, ...] = ()


class AllDetails:
    """Reads an account whole."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, account: AccountId, kinds: Collection[str], *, after: str = "", limit: int) -> list[Details]:
        """As `truncated_page`; empty when there are no more."""
        return (await self.truncated_page(account, kinds, after=after, limit=limit))[0]

    async def truncated_page(
        self, account: AccountId, kinds: Collection[str], *, after: str = "", limit: int
    ) -> tuple[list[Details], bool]:
        """The next ones of those kinds (`Details.kind`) after a position, and whether there are more.

        At most `limit`, and fewer when their documents have more than `PAGE_CHARACTERS` together. Of AWS's policies
        those in use, unless `kinds` is nothing else.
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
    """All after the position, each read when it is asked for."""
    last_kind, _, last_name = after.partition("/")
    for kind in _ORDER:
        if kind not in kinds or kind < last_kind:
            continue
        name = last_name if kind == last_kind else ""
        if kind in {"aws", "policy"}:
            yield from _policies(conn, account, kind, name, every=set(kinds) == {"aws"})
            continue
        while rows := identities.page(conn, kind, account, "/", name, _ROWS):
            for row in rows:
                yield _entity(conn, kind, row)
            name = rows[-1].name_folded


def _policies(conn: Connection, account: AccountId, kind: str, after: str, *, every: bool) -> Iterator[Details]:
    found: Iterable[ManagedPolicy] = managed_policies.each_of_account(conn, account, after)
    if kind == "aws":
        listed = managed_policies.of_aws(conn, account)
        in_use = [each for each in listed if every or each.attached or each.bounding]
        found = [each for each in in_use if identities.folded(each.name) > after]
    for each in found:
        position = f"{kind}/{identities.folded(each.name)}"
        yield Details(kind, position, policy=each, versions=tuple(managed_policies.versions(conn, each)))


def _entity(conn: Connection, kind: str, row: Row[Any]) -> Details:
    entity = entity_of(row)
    wanted = identity_policies.attached(conn, entity.id)
    boundary_id = entity.boundary_id
    policies = managed_policies.by_ids(conn, [*wanted, *([] if boundary_id is None else [boundary_id])])
    return Details(
        kind,
        f"{kind}/{row.name_folded}",
        entity,
        role_of(row) if kind == "role" else None,
        tuple(group.name for group in identities.groups_of(conn, entity.id)) if kind == "user" else (),
        tuple(Held(name, text) for name, text in identity_policies.inline_texts(conn, entity.id).items()),
        tuple(policies[each] for each in wanted if each in policies),
        policies[boundary_id].arn if boundary_id is not None and boundary_id in policies else None,
        identities.tags(conn, entity.id),
    )
