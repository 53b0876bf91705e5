"""Statements about how much of its quotas an account uses: counted in one row, so that no request counts rows.

Whoever adds or removes what is counted changes the count in the same transaction.
"""

from typing import Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from moorage.store.metadata.statement import Change, Query
from moorage.store.metadata.tables import account_usage

Counted = Literal["uploads", "upload_bytes", "sessions"]

_TAKE = {
    name: Change(
        update(account_usage)
        .where(
            account_usage.c.account == bindparam("of"), account_usage.c[name] + bindparam("more") <= bindparam("most")
        )
        .values({name: account_usage.c[name] + bindparam("more")})
    )
    for name in ("uploads", "upload_bytes", "sessions")
}
_RETURN = Change(
    update(account_usage)
    .where(account_usage.c.account == bindparam("of"))
    .values(
        uploads=account_usage.c.uploads - bindparam("fewer_uploads"),
        upload_bytes=account_usage.c.upload_bytes - bindparam("fewer_bytes"),
        sessions=account_usage.c.sessions - bindparam("fewer_sessions"),
    )
)
_KNOWN = Query(select(account_usage.c.account).where(account_usage.c.account == bindparam("account")))
_ADD = Change(insert(account_usage).values(account=bindparam("account"), uploads=0, upload_bytes=0, sessions=0))


def take(conn: Connection, account: str, counted: Counted, more: int, most: int) -> bool:
    """Add `more` to what the account uses; False, and nothing is added, when that would be more than `most`."""
    values = {"of": account, "more": more, "most": most}
    if _TAKE[counted].run(conn, values):
        return True
    if _KNOWN.first(conn, {"account": account}) is not None:
        return False
    _ADD.run(conn, {"account": account})
    return bool(_TAKE[counted].run(conn, values))


def give_back(conn: Connection, account: str, *, uploads: int = 0, upload_bytes: int = 0, sessions: int = 0) -> None:
    """Subtract what the account no longer uses."""
    fewer = {"fewer_uploads": uploads, "fewer_bytes": upload_bytes, "fewer_sessions": sessions}
    _RETURN.run(conn, {"of": account, **fewer})
