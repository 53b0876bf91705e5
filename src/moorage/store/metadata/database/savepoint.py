"""Undoing a part of a transaction, while the transaction itself goes on."""

from sqlalchemy import Connection

_NAME = "moorage_part"


class Savepoint:
    """What a transaction does from here on can be undone. End it with `keep` or `undo`.

    If the work raises instead, the whole transaction is rolled back, and nothing has to be ended. Not to be nested.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        conn.exec_driver_sql(f"SAVEPOINT {_NAME}")

    def keep(self) -> None:
        """Make what was done a part of the transaction."""
        self._conn.exec_driver_sql(f"RELEASE SAVEPOINT {_NAME}")

    def undo(self) -> None:
        """Undo what was done."""
        self._conn.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_NAME}")
        self.keep()
