"""Statements about suspects: files in the blob store that no row knew when they were last looked for."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from moorage.store.metadata.layers import blobs, uploads
from moorage.store.metadata.tables import leftover_suspects as suspects

Name: TypeAlias = tuple[str, str]
"""Kind (`upload` or `object`) and name of a file."""


class Suspect(NamedTuple):
    """A file that no row knows: left behind by a crash, or of a push whose row is still to come."""

    kind: Literal["upload", "object"]
    name: str
    since: float
    """When it was first found, in seconds since the epoch."""
    modified_at: float
    """When it was modified, as the blob store says; a change shows that somebody is writing it."""


def find(conn: Connection, names: Collection[Name]) -> dict[Name, Suspect]:
    """Return the suspects among these files."""
    here = tuple_(suspects.c.kind, suspects.c.name).in_(names)
    columns = (suspects.c.kind, suspects.c.name, suspects.c.since, suspects.c.modified_at)
    return {(row.kind, row.name): Suspect(*row) for row in conn.execute(select(*columns).where(here))}


def count(conn: Connection) -> int:
    """Return the number of suspects."""
    return int(conn.execute(select(func.count()).select_from(suspects)).scalar_one())


def put(conn: Connection, found: Iterable[Suspect]) -> None:
    """Store these suspects in place of what was stored of the same files."""
    rows = [each._asdict() for each in found]
    if rows:
        remove(conn, [(row["kind"], row["name"]) for row in rows])
        conn.execute(insert(suspects), rows)


def remove(conn: Connection, names: Collection[Name]) -> None:
    """Delete what is stored of these files."""
    if names:
        conn.execute(delete(suspects).where(tuple_(suspects.c.kind, suspects.c.name).in_(names)))


def remove_before(conn: Connection, before: float) -> None:
    """Delete the suspects that were first found before `before`."""
    conn.execute(delete(suspects).where(suspects.c.since < before))


def known(conn: Connection, names: Sequence[Name]) -> set[Name]:
    """Return those of the files that rows of uploads and blobs know."""
    # Objects too: an upload whose last transaction failed is an object already, and can still be finished.
    of_uploads = uploads.known(conn, [name for _, name in names])
    of_blobs = blobs.object_keys(conn, [name for kind, name in names if kind == "object"])
    return {(kind, name) for kind, name in names if name in of_uploads or (kind == "object" and name in of_blobs)}
