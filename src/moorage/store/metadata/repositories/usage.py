"""Statements about the use of quotas: one row for each quota of an account or repository, so that no rows are counted.

A transaction that adds or removes what a quota counts also changes its row.
"""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from moorage.store.metadata.database.statement import Change, Query
from moorage.store.metadata.tables import usage


class _ScopeRow(NamedTuple):
    scope: str


_TAKE = Change(
    update(usage)
    .where(usage.c.scope == bindparam("of"), usage.c.amount + bindparam("more") <= bindparam("most"))
    .values(amount=usage.c.amount + bindparam("more"))
)
_GIVE = Change(update(usage).where(usage.c.scope == bindparam("of")).values(amount=usage.c.amount - bindparam("fewer")))
_KNOWN = Query(select(usage.c.scope).where(usage.c.scope == bindparam("scope")), _ScopeRow)
_ADD = Change(insert(usage).values(scope=bindparam("scope"), amount=0))


def take(conn: Connection, scope: str, more: int, most: int) -> bool:
    """Add `more`, which may be negative. False, with nothing added, if the amount would exceed `most`."""
    if not more:
        return True
    values = {"of": scope, "more": more, "most": most}
    if _TAKE.run(conn, values):
        return True
    if _KNOWN.first(conn, {"scope": scope}) is None:
        _ADD.run(conn, {"scope": scope})
    # Also if the row exists: under READ COMMITTED, another transaction may have added it since the first attempt.
    return bool(_TAKE.run(conn, values))


def give_back(conn: Connection, scope: str, fewer: int) -> None:
    """Subtract `fewer`."""
    if fewer:
        _GIVE.run(conn, {"of": scope, "fewer": fewer})


def forget(conn: Connection, scope: str) -> None:
    """Delete the row of a quota whose account or repository is gone."""
    conn.execute(delete(usage).where(usage.c.scope == scope))


def uploads_of_repository(repository_id: int) -> str:
    return f"uploads of repository {repository_id}"


def uploads_of_account(account: str) -> str:
    return f"uploads of account {account}"


def upload_bytes_of_account(account: str) -> str:
    return f"upload bytes of account {account}"


def sessions_of_account(account: str) -> str:
    return f"sessions of account {account}"


def sessions_of_identity(account: str, identity_id: str | None) -> str:
    """Return the scope for the sessions of a user or role; None: of the account's root."""
    return f"sessions of {identity_id or f'root {account}'}"
