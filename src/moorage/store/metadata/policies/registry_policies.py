"""Statements about registry policies: which document is in force in a registry, and which were."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, union

from moorage.names import AccountId, Region
from moorage.store.metadata.database.statement import Query
from moorage.store.metadata.policies import history as histories
from moorage.store.metadata.tables import account_settings, epoch, policy_documents, registry_policies
from moorage.store.metadata.tables import registry_policy_history as past

SCOPE = "REGISTRY_POLICY_SCOPE"
"""The account setting that says what registry policies reach."""

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
    .where(epoch.c.id == 1)
)


def state(conn: Connection, account: AccountId, region: Region) -> Any:
    """A row (epoch, policy_hash, scope): the registry's policy, and what was put for its scope, where there is any."""
    row = _STATE.first(conn, {"account": account, "region": region})
    assert row is not None  # noqa: S101 - the first migration made the epoch
    return row


def text(conn: Connection, account: AccountId, region: Region) -> str | None:
    """The text in force; None when there is none."""
    statement = select(policy_documents.c.text).join(
        registry_policies, registry_policies.c.policy_hash == policy_documents.c.hash
    )
    return conn.execute(statement.where(*_of(account, region))).scalar_one_or_none()


def set_of_registry(conn: Connection, account: AccountId, region: Region, name: str | None, at: float, by: str) -> None:
    """From now on the registry's policy is the document of that hash (None: it has none); its history says so."""
    conn.execute(delete(registry_policies).where(*_of(account, region)))
    where = {"account": account, "region": region, "policy_hash": name}
    if name is not None:
        conn.execute(insert(registry_policies).values(**where))
    conn.execute(insert(past).values(**where, at=at, by=by))
    histories.trim(conn, histories.REGISTRY_POLICIES, where)


def regions(conn: Connection, account: AccountId) -> list[str]:
    """Where the account's registry has a policy, or was given a scope."""
    scoped = (account_settings.c.account == account, account_settings.c.name == SCOPE)
    found = union(
        select(registry_policies.c.region).where(registry_policies.c.account == account),
        select(account_settings.c.region).where(*scoped),
    )
    return sorted(conn.execute(found).scalars())


def history(conn: Connection, account: AccountId, region: Region) -> Sequence[Row[*tuple[Any, ...]]]:
    """Every policy the registry had (policy_hash, at, by), oldest first; a null hash: it was deleted."""
    statement = select(past.c.policy_hash, past.c.at, past.c.by)
    found = statement.where(past.c.account == account, past.c.region == region)
    return conn.execute(found.order_by(past.c.id)).all()


def _of(account: AccountId, region: Region) -> tuple[Any, ...]:
    return registry_policies.c.account == account, registry_policies.c.region == region
