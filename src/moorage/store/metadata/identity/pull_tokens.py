"""Statements about pull tokens."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Select, and_, delete, func, insert, or_, select, update

from moorage.store.metadata.database.collation import bytewise
from moorage.store.metadata.database.statement import first_row, rows
from moorage.store.metadata.identity.identities import folded
from moorage.store.metadata.identity.tables import identities, last_uses, pull_tokens


class NewTokenRow(NamedTuple):
    """The columns of a token that is added; `tables.pull_tokens` describes them."""

    id: str
    account: str
    identity_id: str | None
    name: str
    secret_hash: str
    policy_hash: str
    repositories: str
    actions: str
    created_at: float
    created_by: str
    expires_at: float


class TokenRow(NamedTuple):
    """A token, its owner and its last use. `user_name` and `user_path` are None for the root of the account."""

    id: str
    account: str
    name: str
    repositories: str
    actions: str
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None
    user_name: str | None
    user_path: str | None
    used_at: float | None


_NOT_REVOKED = pull_tokens.c.revoked_at.is_(None)
_TOKENS: Select[*tuple[object, ...]] = (
    select(
        *(pull_tokens.c[name] for name in TokenRow._fields[:9]),
        identities.c.name.label("user_name"),
        identities.c.path.label("user_path"),
        last_uses.c.at.label("used_at"),
    )
    .select_from(pull_tokens.outerjoin(identities, identities.c.id == pull_tokens.c.identity_id))
    .outerjoin(last_uses, last_uses.c.id == pull_tokens.c.id)
)


def add(conn: Connection, row: NewTokenRow) -> None:
    """Add a token."""
    conn.execute(insert(pull_tokens).values(name_folded=folded(row.name), **row._asdict()))


def named(conn: Connection, account: str, name: str) -> TokenRow | None:
    """Return the token with that name in any case that is not revoked, which may have expired, or None."""
    here = (pull_tokens.c.account == account, pull_tokens.c.name_folded == folded(name), _NOT_REVOKED)
    return first_row(conn, _TOKENS.where(*here), TokenRow)


def page(
    conn: Connection, account: str, user_id: str | None, at: float | None, after: tuple[str, str], limit: int
) -> list[TokenRow]:
    """Return up to `limit` tokens of the account, or of one user, that are valid at `at`; None: every stored one.

    They are ordered by folded name and id, and come after `after`, the folded name and the id of an earlier one.
    """
    name, token = bytewise(conn, pull_tokens.c.name_folded), bytewise(conn, pull_tokens.c.id)
    following = or_(name > after[0], and_(name == after[0], token > after[1]))
    statement = _TOKENS.where(pull_tokens.c.account == account, following)
    if user_id is not None:
        statement = statement.where(pull_tokens.c.identity_id == user_id)
    if at is not None:
        statement = statement.where(_NOT_REVOKED, pull_tokens.c.expires_at > at)
    return rows(conn, statement.order_by(name, token).limit(limit), TokenRow)


def count_valid(conn: Connection, account: str, at: float) -> int:
    """Return how many tokens of the account are valid at `at`."""
    here = (pull_tokens.c.account == account, _NOT_REVOKED, pull_tokens.c.expires_at > at)
    return int(conn.execute(select(func.count()).where(*here)).scalar_one())


def revoke(conn: Connection, token_id: str, at: float) -> None:
    """Revoke a token. Its row stays until the sweep removes it."""
    conn.execute(update(pull_tokens).where(pull_tokens.c.id == token_id).values(revoked_at=at))


def ended(conn: Connection, before: float, limit: int) -> list[str]:
    """Return up to `limit` ids of tokens that expired or were revoked before `before`."""
    over = or_(pull_tokens.c.revoked_at < before, pull_tokens.c.expires_at < before)
    return list(conn.execute(select(pull_tokens.c.id).where(over).limit(limit)).scalars())


def surplus(conn: Connection, account: str, at: float, most: int, limit: int) -> list[str]:
    """Return up to `limit` ids of tokens that have ended by `at`, without the `most` that were created last."""
    over = or_(pull_tokens.c.revoked_at.is_not(None), pull_tokens.c.expires_at <= at)
    newest_first = select(pull_tokens.c.id).where(pull_tokens.c.account == account, over)
    ordered = newest_first.order_by(pull_tokens.c.created_at.desc(), pull_tokens.c.id)
    return list(conn.execute(ordered.offset(most).limit(limit)).scalars())


def forget(conn: Connection, ids: Sequence[str]) -> None:
    """Delete the rows of these tokens and their last uses."""
    conn.execute(delete(last_uses).where(last_uses.c.id.in_(ids)))
    conn.execute(delete(pull_tokens).where(pull_tokens.c.id.in_(ids)))
