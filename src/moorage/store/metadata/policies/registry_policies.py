"""Statements about registry policies: which document is the policy of a registry, and its history."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, union

from moorage.names import AccountId, Region
from moorage.store.metadata.database.statement import Query, rows
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.policies.repository_policies import RevisionRow
from moorage.store.metadata.tables import account_settings, epoch, policy_documents, registry_policies
from moorage.store.metadata.tables import registry_policy_history as revisions

SCOPE: Final = "REGISTRY_POLICY_SCOPE"
"""The account setting that says which actions registry policies apply to."""


class StateRow(NamedTuple):
    """What a decision needs to know of a registry. None: it has no policy, or nobody has set the scope."""

    epoch: int
    policy_hash: str | None
    scope: str | None


_STATE = Query(
    select(epoch.c.wide.label("epoch"), registry_policies.c.policy_hash, account_settings.c.value.label("scope"))
    .select_from(epoch)
    .outerjoin(
        registry_policies,
        (registry_policies.c.account == bindparam("account")) & (registry_policies.c.region == bindparam("region")),
    )
    .outerjoin(
        account_settings,
        (account_settings.c.account == bindparam("account"))
        & (account_settings.c.region == bindparam("region"))
        & (account_settings.c.name == SCOPE),
    )
    .where(epoch.c.id == 1),
    StateRow,
)


def state(conn: Connection, account: AccountId, region: Region) -> StateRow:
    """Return what a decision needs to know of the registry, with the authorization epoch."""
    row = _STATE.first(conn, {"account": account, "region": region})
    assert row is not None  # noqa: S101 - the first migration inserted the epoch
    return row


def text(conn: Connection, account: AccountId, region: Region) -> str | None:
    """Return the text of the registry's policy, or None."""
    statement = select(policy_documents.c.text).join(
        registry_policies, registry_policies.c.policy_hash == policy_documents.c.hash
    )
    return conn.execute(statement.where(*_of(account, region))).scalar_one_or_none()


def set_of_registry(conn: Connection, account: AccountId, region: Region, name: str | None, at: float, by: str) -> None:
    """Make the document of that hash the policy of the registry (None: it has no policy), and add it to the history."""
    conn.execute(delete(registry_policies).where(*_of(account, region)))
    where = {"account": account, "region": region, "policy_hash": name}
    if name is not None:
        conn.execute(insert(registry_policies).values(**where))
    conn.execute(insert(revisions).values(**where, at=at, by=by))
    histories.trim(conn, histories.REGISTRY_POLICIES, where)


def regions(conn: Connection, account: AccountId) -> list[str]:
    """Return the regions in which the account has a registry policy, or has set the scope of one, sorted."""
    scoped = (account_settings.c.account == account, account_settings.c.name == SCOPE)
    found = union(
        select(registry_policies.c.region).where(registry_policies.c.account == account),
        select(account_settings.c.region).where(*scoped),
    )
    return sorted(conn.execute(found).scalars())


def history(conn: Connection, account: AccountId, region: Region) -> Sequence[RevisionRow]:
    """Return the history of the registry's policy, oldest first."""
    statement = select(revisions.c.policy_hash, revisions.c.at, revisions.c.by)
    here = statement.where(revisions.c.account == account, revisions.c.region == region)
    return rows(conn, here.order_by(revisions.c.id), RevisionRow)


def _of(account: AccountId, region: Region) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return registry_policies.c.account == account, registry_policies.c.region == region
