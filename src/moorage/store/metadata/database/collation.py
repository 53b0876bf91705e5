"""The order of pages: by bytes, the same in both databases."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, collate


def bytewise(conn: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column in the order of its bytes, which is SQLite's default order."""
    return collate(column, "C") if conn.dialect.name == "postgresql" else column
