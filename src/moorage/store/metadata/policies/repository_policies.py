"""Statements about policy documents, kept by the hash of their text, and about repositories' policies."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from moorage.names import RepositoryRef
from moorage.store.metadata.database.statement import Change, Query, rows
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.tables import policy_documents, repositories, repository_policy_history

_TRIM_EVERY = 100
"""Changes of a repository's policy after which its history is trimmed."""


class RevisionRow(NamedTuple):
    """One entry in the history of a policy; the hash is None if the policy was deleted."""

    policy_hash: str | None
    at: float
    by: str


class _TextRow(NamedTuple):
    text: str


class _ChangedRow(NamedTuple):
    id: int
    policies: int


_DOCUMENT = Query(select(policy_documents.c.text).where(policy_documents.c.hash == bindparam("name")), _TextRow)
_USE_AGAIN: dict[str, Any] = {
    "index_elements": ["hash"],
    "set_": {"unused_since": null()},
    "where": policy_documents.c.unused_since.is_not(None),
}
_NEW: dict[str, Any] = {"hash": bindparam("name"), "text": bindparam("document")}
_KEEP = Change(
    sqlite.insert(policy_documents).values(_NEW).on_conflict_do_update(**_USE_AGAIN),
    postgresql=postgresql.insert(policy_documents).values(_NEW).on_conflict_do_update(**_USE_AGAIN),
)
_SET = Query(
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
_REMEMBER = Change(
    insert(repository_policy_history).values(
        **{name: bindparam(name) for name in ("repository_id", "policy_hash", "at", "by")}
    )
)


def keep(conn: Connection, text: str) -> str:
    """Store a document unless it is stored already; return its hash (SHA-256 of the text, in hex).

    Call it in each transaction that refers to the document, because unused documents are deleted in the background.
    """
    name = hashlib.sha256(text.encode()).hexdigest()
    _KEEP.run(conn, {"name": name, "document": text})
    return name


def document(conn: Connection, name: str) -> str | None:
    """Return the text of the document with that hash, or None."""
    row = _DOCUMENT.first(conn, {"name": name})
    return None if row is None else row.text


def set_of_repository(conn: Connection, ref: RepositoryRef, name: str | None, at: float, by: str) -> bool:
    """Make the document of that hash the policy of the repository (None: it has no policy), and add it to the history.

    False, with nothing changed, if there is no such repository.
    """
    where = {"of_account": ref.account, "of_region": ref.region, "of_name": ref.name}
    row = _SET.first(conn, {**where, "document": name})
    if row is None:
        return False
    _REMEMBER.run(conn, {"repository_id": row.id, "policy_hash": name, "at": at, "by": by})
    if row.policies % _TRIM_EVERY == 0:
        histories.trim(conn, histories.REPOSITORY_POLICIES, {"repository_id": row.id})
    return True


def history(conn: Connection, repository_id: int) -> Sequence[RevisionRow]:
    """Return the history of the repository's policy, oldest first."""
    table = repository_policy_history
    statement = select(table.c.policy_hash, table.c.at, table.c.by).where(table.c.repository_id == repository_id)
    return rows(conn, statement.order_by(table.c.id), RevisionRow)
