"""Statements that delete policy documents which nothing refers to any more.

A document that nothing refers to is marked with the time (`unused_since`), kept for decisions that were made on it, and
deleted later. `policies.keep` removes the mark. Rows that are deleted early to bound a history `release` their
documents: these are marked with the time 0, so that the next sweep deletes them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, update

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

_USED: Final[ColumnElement[bool]] = or_(*(exists().where(each == policy_documents.c.hash) for each in REFERENCES))
_MARKED: Final = policy_documents.c.unused_since.is_not(None)


def page(conn: Connection, after: str, limit: int) -> list[tuple[str, bool]]:
    """The next documents by hash: hash, and whether it has to be marked because nothing refers to it."""
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
    """Let the next sweep delete those of the documents that nothing else refers to."""
    named = {each for each in hashes if each is not None}
    if named:
        conn.execute(update(policy_documents).where(policy_documents.c.hash.in_(named)).values(unused_since=0.0))


def due(conn: Connection, before: float, most: int, limit: int) -> list[str]:
    """Hashes of documents that were marked before `before`, or beyond the `most` that were marked last."""
    marked = select(policy_documents.c.hash).where(_MARKED)
    old = marked.where(policy_documents.c.unused_since < before).order_by(policy_documents.c.unused_since)
    found = list(conn.execute(old.limit(limit)).scalars())
    if found:
        return found
    newest_first = marked.order_by(policy_documents.c.unused_since.desc(), policy_documents.c.hash)
    return list(conn.execute(newest_first.offset(most).limit(limit)).scalars())


def drop(conn: Connection, hashes: Sequence[str]) -> None:
    """Delete those of the documents that are marked and that nothing refers to; remove the mark of the others."""
    these = policy_documents.c.hash.in_(hashes)
    conn.execute(delete(policy_documents).where(these, _MARKED, ~_USED))
    conn.execute(update(policy_documents).where(these, _MARKED).values(unused_since=None))
