"""Order by bytes, the same in both databases: what pages are cut by."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, collate


def bytewise(conn: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column in the order of its bytes, as SQLite compares anyway."""
    return collate(column, "C") if conn.dialect.name == "postgresql" else column
