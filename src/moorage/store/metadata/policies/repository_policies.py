"""Statements about repository policies: which document is the policy of a repository, and its history."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Change, Query, rows
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.tables import repositories, repository_policy_history

_TRIM_EVERY: Final = 100
"""Changes of a repository's policy after which its history is trimmed."""


class RevisionRow(NamedTuple):
    """One entry in the history of a policy; the hash is None if the policy was deleted."""

    policy_hash: str | None
    at: float
    by: str


class _ChangedRow(NamedTuple):
    id: int
    policies: int


_SET: Final = Query(
    update(repositories)
    .where(
        repositories.c.account == bindparam("of_account"),
        repositories.c.region == bindparam("of_region"),
        repositories.c.name == bindparam("of_name"),
        repositories.c.deleted_at.is_(None),
    )
    .values(policy_hash=bindparam("document"), policies=repositories.c.policies + 1)
    .returning(repositories.c.id, repositories.c.policies),
    _ChangedRow,
)
_ADD_REVISION: Final = Change(
    insert(repository_policy_history).values(
        **{name: bindparam(name) for name in ("repository_id", "policy_hash", "at", "by")}
    )
)


def set_of_repository(conn: Connection, ref: RepositoryRef, name: str | None, at: float, by: str) -> bool:
    """Make the document of that hash the policy of the repository (None: it has no policy), and add it to the history.

    False, with nothing changed, if there is no such repository.
    """
    where = {"of_account": ref.account, "of_region": ref.region, "of_name": ref.name}
    row = _SET.first(conn, {**where, "document": name})
    if row is None:
        return False
    _ADD_REVISION.run(conn, {"repository_id": row.id, "policy_hash": name, "at": at, "by": by})
    if row.policies % _TRIM_EVERY == 0:
        histories.trim(conn, histories.REPOSITORY_POLICIES, {"repository_id": row.id})
    return True


def history(conn: Connection, repository_id: int) -> Sequence[RevisionRow]:
    """Return the history of the repository's policy, oldest first."""
    table = repository_policy_history
    statement = select(table.c.policy_hash, table.c.at, table.c.by).where(table.c.repository_id == repository_id)
    return rows(conn, statement.order_by(table.c.id), RevisionRow)
