"""Statements about policy documents, kept by the hash of their text, and about repositories' policies."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from moorage.store.metadata.tables import policy_documents, repositories, repository_policy_history


def keep(conn: Connection, text: str) -> str:
    """Keep a document; its hash (SHA-256 of the text, hex)."""
    name = hashlib.sha256(text.encode()).hexdigest()
    if conn.execute(select(policy_documents.c.hash).where(policy_documents.c.hash == name)).one_or_none() is None:
        conn.execute(insert(policy_documents).values(hash=name, text=text))
    return name


def document(conn: Connection, name: str) -> str | None:
    """The text of the document with that hash."""
    return conn.execute(select(policy_documents.c.text).where(policy_documents.c.hash == name)).scalar_one_or_none()


def set_of_repository(conn: Connection, repository_id: int, name: str | None, at: float, by: str) -> None:
    """From now on the repository's policy is this document (None: it has none); its history says so."""
    conn.execute(update(repositories).where(repositories.c.id == repository_id).values(policy_hash=name))
    conn.execute(insert(repository_policy_history).values(repository_id=repository_id, policy_hash=name, at=at, by=by))


def history(conn: Connection, repository_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Every policy the repository had (policy_hash, at, by), oldest first; a null hash: it was deleted."""
    table = repository_policy_history
    statement = select(table.c.policy_hash, table.c.at, table.c.by).where(table.c.repository_id == repository_id)
    return conn.execute(statement.order_by(table.c.id)).all()
