"""Statements about pull tokens. Whoever changes one raises the epoch in the same transaction (`epoch.advance`)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.identity.identities import folded
from moorage.store.metadata.identity.tables import identities, last_uses, pull_tokens

_LIVING = pull_tokens.c.revoked_at.is_(None)


def add(conn: Connection, row: dict[str, object]) -> None:
    """`row` has the columns of `pull_tokens`."""
    conn.execute(insert(pull_tokens).values(row))


def _selected() -> Select[Any]:
    """All columns of `pull_tokens`, and the owner's `user_name` and `path` (null: the root)."""
    joined = pull_tokens.outerjoin(identities, identities.c.id == pull_tokens.c.identity_id)
    return select(pull_tokens, identities.c.name.label("user_name"), identities.c.path).select_from(joined)


def named(conn: Connection, account: str, name: str) -> Row[Any] | None:
    """The token of that name, whatever its case, unless it is revoked; it may be over."""
    here = (pull_tokens.c.account == account, pull_tokens.c.name_folded == folded(name), _LIVING)
    return conn.execute(_selected().where(*here)).one_or_none()


def page(
    conn: Connection, account: str, user_id: str | None, at: float | None, after: tuple[str, str], limit: int
) -> Sequence[Row[Any]]:
    """The next tokens of the account, or of one user of it: those that live at `at`, or every one that is kept.

    By folded name and id, behind `after`, which is both of an earlier one. With `used_at`: when each was last used.
    """
    statement = _selected().add_columns(last_uses.c.at.label("used_at"))
    statement = statement.outerjoin(last_uses, last_uses.c.id == pull_tokens.c.id)
    name, token = bytewise(conn, pull_tokens.c.name_folded), bytewise(conn, pull_tokens.c.id)
    behind = or_(name > after[0], and_(name == after[0], token > after[1]))
    statement = statement.where(pull_tokens.c.account == account, behind)
    if user_id is not None:
        statement = statement.where(pull_tokens.c.identity_id == user_id)
    if at is not None:
        statement = statement.where(_LIVING, pull_tokens.c.expires_at > at)
    return conn.execute(statement.order_by(name, token).limit(limit)).all()


def count_living(conn: Connection, account: str, at: float) -> int:
    here = (pull_tokens.c.account == account, _LIVING, pull_tokens.c.expires_at > at)
    return int(conn.execute(select(func.count()).where(*here)).scalar_one())


def revoke(conn: Connection, token_id: str, at: float) -> None:
    conn.execute(update(pull_tokens).where(pull_tokens.c.id == token_id).values(revoked_at=at))


def ended(conn: Connection, before: float, limit: int) -> list[str]:
    """Ids of tokens that were over or revoked before `before`."""
    over = or_(pull_tokens.c.revoked_at < before, pull_tokens.c.expires_at < before)
    return list(conn.execute(select(pull_tokens.c.id).where(over).limit(limit)).scalars())


def surplus(conn: Connection, account: str, at: float, most: int, limit: int) -> list[str]:
    """Ids of the account's tokens that have ended by `at`, beyond the `most` of them that were created last."""
    over = or_(pull_tokens.c.revoked_at.is_not(None), pull_tokens.c.expires_at <= at)
    newest_first = select(pull_tokens.c.id).where(pull_tokens.c.account == account, over)
    ordered = newest_first.order_by(pull_tokens.c.created_at.desc(), pull_tokens.c.id)
    return list(conn.execute(ordered.offset(most).limit(limit)).scalars())


def forget(conn: Connection, ids: Sequence[str]) -> None:
    conn.execute(delete(last_uses).where(last_uses.c.id.in_(ids)))
    conn.execute(delete(pull_tokens).where(pull_tokens.c.id.in_(ids)))
