"""Statements that are compiled once: on SQLite they go straight to the driver, and their rows have types.

Running a statement through SQLAlchemy Core costs 35 µs beside the 5 µs that SQLite takes, so the hot paths use these.
Values must need no conversion on SQLite (numbers, texts, bytes); a boolean comes back as 0 or 1.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, overload

from sqlalchemy import CompoundSelect, Connection, Delete, Executable, Insert, Select, Update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

_Returning: TypeAlias = (
    Select[Any] | CompoundSelect[Any] | ReturningInsert[Any] | ReturningUpdate[Any] | ReturningDelete[Any]
)
_Writing: TypeAlias = Insert | Update | Delete
_Clause: TypeAlias = _Returning | _Writing


R = TypeVar("R", bound=tuple[Any, ...])
"""A NamedTuple."""


class Query(Generic[R]):
    """A SELECT, or another statement that returns rows. `values` are the values of its bindparams, by name."""

    @overload
    def __init__(self: "Query[Any]", clause: _Returning) -> None: ...
    @overload
    def __init__(self, clause: _Returning, row: type[R]) -> None: ...
    def __init__(self, clause: _Returning, row: type[R] | None = None) -> None:
        """`row`: the NamedTuple of the rows, with the columns of the statement as its fields.

        ValueError if the fields differ from the columns. Without `row` the rows have attributes but no type.
        """
        self._text = _Text(clause)
        columns = [str(column.key) for column in clause.exported_columns]
        self._make = _maker(namedtuple("Row", columns) if row is None else row)
        if row is not None and list(_fields(row)) != columns:
            raise ValueError(f"{row.__name__} has the fields {_fields(row)}, its statement the columns {columns}")
        self._clause = clause

    def first(self, conn: Connection, values: Mapping[str, Any]) -> R | None:
        """Return the first row, or None."""
        driver = conn.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            found = driver.execute(*self._text.with_values(values)).fetchone()
        else:
            found = conn.execute(self._clause, values).first()
        return None if found is None else self._make(found)

    def all(self, conn: Connection, values: Mapping[str, Any]) -> list[R]:
        """Return every row."""
        driver = conn.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return [self._make(found) for found in driver.execute(*self._text.with_values(values))]
        return [self._make(found) for found in conn.execute(self._clause, values)]


def rows(conn: Connection, clause: Executable, row: type[R]) -> list[R]:
    """Run a statement through Core; return its rows as this NamedTuple, whose fields are the columns in their order."""
    return list(map(_maker(row), conn.execute(clause)))


def first_row(conn: Connection, clause: Executable, row: type[R]) -> R | None:
    """Run a statement through Core; return its only row as this NamedTuple, or None."""
    found = conn.execute(clause).one_or_none()
    return None if found is None else _maker(row)(found)


def _maker(row: Any) -> Callable[[Iterable[Any]], Any]:
    """What makes a NamedTuple of an iterable; `typing` has no type for such classes."""
    return row._make  # type: ignore[no-any-return]


def _fields(row: Any) -> tuple[str, ...]:
    return row._fields  # type: ignore[no-any-return]


class Change:
    """An INSERT, UPDATE or DELETE. `values` are the values of its bindparams, by name."""

    def __init__(self, clause: _Writing, *, postgresql: _Writing | None = None) -> None:
        """`postgresql`: the statement for PostgreSQL where SQLAlchemy's dialects differ (ON CONFLICT)."""
        self._text = _Text(clause)
        self._clause = clause if postgresql is None else postgresql

    def run(self, conn: Connection, values: Mapping[str, Any]) -> int:
        """Return the number of rows that it changed."""
        driver = conn.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            return driver.execute(*self._text.with_values(values)).rowcount
        return conn.execute(self._clause, values).rowcount

    def run_each(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once with the values of each row. There must be at least one row."""
        driver = conn.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.executemany(self._text.sql, [{**self._text.fixed, **row} for row in rows])
        else:
            conn.execute(self._clause, rows)


class _Text:
    """The text of a statement for SQLite, and the values that the statement itself contains."""

    def __init__(self, clause: _Clause) -> None:
        compiled = clause.compile(dialect=sqlite_dialect(paramstyle="named"))
        self.sql = str(compiled)
        self.fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._lists = [name for name, bind in compiled.binds.items() if bind.expanding]

    def with_values(self, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the text and the values to run it with. A list (`IN`) becomes one value for each element."""
        if not self._lists:
            return self.sql, {**self.fixed, **values} if self.fixed else values
        sql, given = self.sql, {**self.fixed, **values}
        for name in self._lists:
            elements = {f"{name}_{number}": element for number, element in enumerate(given.pop(name))}
            sql = sql.replace(f"__[POSTCOMPILE_{name}]", ", ".join(f":{each}" for each in elements))
            given.update(elements)
        return sql, given
