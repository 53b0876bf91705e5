"""Everything an account has of identities and policies, with all they say, in one order for pages."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from moorage.identity import managed_policies
from moorage.identity.entity import Entity, Role, entity_of, role_of
from moorage.identity.managed_policies import ManagedPolicy, PolicyVersion
from moorage.names import AccountId
from moorage.store.metadata import identities, identity_policies
from moorage.store.metadata.database import Database

_ORDER: Final = ("aws", "group", "policy", "role", "user")


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
        """The next ones of those kinds (`Details.kind`) after a position. Of AWS's policies those in use, unless
        `kinds` is nothing else."""

        def work(conn: Connection) -> list[Details]:
            return list(_page(conn, account, kinds, after, limit))

        return await self._db.read(work)


def _page(conn: Connection, account: AccountId, kinds: Collection[str], after: str, limit: int) -> Iterator[Details]:
    last_kind, _, last_name = after.partition("/")
    for kind in _ORDER:
        if kind not in kinds or kind < last_kind:
            continue
        name = last_name if kind == last_kind else ""
        if kind in {"aws", "policy"}:
            found = _policies(conn, account, kind, name, every=set(kinds) == {"aws"})[:limit]
        else:
            rows = identities.page(conn, kind, account, "/", name, limit)
            found = [_entity(conn, kind, row) for row in rows]
        yield from found
        limit -= len(found)
        if limit <= 0:
            return


def _policies(conn: Connection, account: AccountId, kind: str, after: str, *, every: bool) -> list[Details]:
    found = [
        Details(kind, f"{kind}/{identities.folded(policy.name)}", policy=policy)
        for policy in managed_policies.every(conn, account)
        if policy.is_aws is (kind == "aws") and (kind == "policy" or every or policy.attached or policy.bounding)
    ]
    rest = sorted((each for each in found if each.position > f"{kind}/{after}"), key=lambda each: each.position)
    return [
        each._replace(versions=tuple(managed_policies.versions(conn, each.policy)))
        for each in rest
        if each.policy is not None
    ]


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
