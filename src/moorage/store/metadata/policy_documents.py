"""Statements about policy documents: texts of every kind of policy, kept once each by the SHA-256 of the text."""

import hashlib

from sqlalchemy import Connection, insert, select

from moorage.store.metadata.tables import policy_documents


def keep(conn: Connection, text: str) -> str:
    """The hash (hex SHA-256) of `text`, which is kept from here on."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = select(policy_documents.c.hash).where(policy_documents.c.hash == digest)
    if conn.execute(known).first() is None:
        conn.execute(insert(policy_documents).values(hash=digest, text=text))
    return digest


def text(conn: Connection, digest: str) -> str | None:
    """The document of that hash, or None."""
    return conn.execute(select(policy_documents.c.text).where(policy_documents.c.hash == digest)).scalar_one_or_none()
