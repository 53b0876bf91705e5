"""Statements about policy documents, which are stored once, by the hash of their text.

A document that nothing refers to any more is marked with the time (`unused_since`), kept for a while because decisions
were made on it, and then deleted. `keep` removes the mark. When a history is trimmed, its rows `release` their
documents: these are marked with the time 0, so that the next maintenance deletes them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.identity.tables import (
    identity_history,
    inline_policies,
    policy_versions,
    pull_tokens,
    roles,
    sessions,
)
from moorage.store.metadata.tables import (
    organization_policies,
    policy_documents,
    registry_policies,
    registry_policy_history,
    repositories,
    repository_policy_history,
)

REFERENCES: Final = (
    repositories.c.policy_hash,
    repository_policy_history.c.policy_hash,
    registry_policies.c.policy_hash,
    registry_policy_history.c.policy_hash,
    organization_policies.c.policy_hash,
    roles.c.trust_hash,
    inline_policies.c.policy_hash,
    policy_versions.c.policy_hash,
    pull_tokens.c.policy_hash,
    sessions.c.policy_hash,
    identity_history.c.value,
)
"""Every column that holds hashes of documents; each has an index."""


class _TextRow(NamedTuple):
    text: str


_USED: Final[ColumnElement[bool]] = or_(*(exists().where(each == policy_documents.c.hash) for each in REFERENCES))
_MARKED: Final = policy_documents.c.unused_since.is_not(None)
_TEXT: Final = Query(select(policy_documents.c.text).where(policy_documents.c.hash == bindparam("name")), _TextRow)
_UNMARK: Final[dict[str, Any]] = {"index_elements": ["hash"], "set_": {"unused_since": null()}, "where": _MARKED}
_NEW: Final[dict[str, Any]] = {"hash": bindparam("name"), "text": bindparam("document")}
_KEEP: Final = Change(
    sqlite.insert(policy_documents).values(_NEW).on_conflict_do_update(**_UNMARK),
    postgresql=postgresql.insert(policy_documents).values(_NEW).on_conflict_do_update(**_UNMARK),
)


def keep(conn: Connection, text: str) -> str:
    """Store a document unless it is stored already; return its hash (SHA-256 of the text, in hex).

    Call it in each transaction that refers to the document, because unused documents are deleted in the background.
    """
    name = hashlib.sha256(text.encode()).hexdigest()
    _KEEP.run(conn, {"name": name, "document": text})
    return name


def text(conn: Connection, name: str) -> str | None:
    """Return the text of the document with that hash, or None."""
    row = _TEXT.first(conn, {"name": name})
    return None if row is None else row.text


def page(conn: Connection, after: str, limit: int) -> list[tuple[str, bool]]:
    """Return the next documents after the hash `after`: the hash, and whether it is unused and not marked yet."""
    statement = select(policy_documents.c.hash, (~_MARKED & ~_USED).label("unused")).where(
        policy_documents.c.hash > after
    )
    return [
        (row.hash, bool(row.unused)) for row in conn.execute(statement.order_by(policy_documents.c.hash).limit(limit))
    ]


def mark(conn: Connection, hashes: Sequence[str], at: float) -> None:
    """Mark those of the documents that nothing refers to."""
    statement = update(policy_documents).where(policy_documents.c.hash.in_(hashes), ~_MARKED, ~_USED)
    conn.execute(statement.values(unused_since=at))


def release(conn: Connection, hashes: Iterable[str | None]) -> None:
    """Let the next maintenance delete those of the documents that nothing else refers to."""
    named = {each for each in hashes if each is not None}
    if named:
        conn.execute(update(policy_documents).where(policy_documents.c.hash.in_(named)).values(unused_since=0.0))


def due(conn: Connection, before: float, most: int, limit: int) -> list[str]:
    """Return hashes of documents that were marked before `before`, or else beyond the `most` that were marked last."""
    marked = select(policy_documents.c.hash).where(_MARKED)
    old = marked.where(policy_documents.c.unused_since < before).order_by(policy_documents.c.unused_since)
    found = list(conn.execute(old.limit(limit)).scalars())
    if found:
        return found
    newest_first = marked.order_by(policy_documents.c.unused_since.desc(), policy_documents.c.hash)
    return list(conn.execute(newest_first.offset(most).limit(limit)).scalars())


def drop(conn: Connection, hashes: Sequence[str]) -> None:
    """Delete those of the documents that are marked and unused. Remove the mark from the others."""
    these = policy_documents.c.hash.in_(hashes)
    conn.execute(delete(policy_documents).where(these, _MARKED, ~_USED))
    conn.execute(update(policy_documents).where(these, _MARKED).values(unused_since=None))
