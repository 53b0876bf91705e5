"""How many regions an account may use: every other quota of a registry is one of an account in one region."""

from typing import Final

from sqlalchemy import Connection

from moorage.errors import LimitExceeded
from moorage.names import AccountId, Region
from moorage.store.metadata.repositories import regions as rows

MOST: Final = 100
"""Regions of an account. AWS has fewer than fifty, but any name of their form is one here."""


def check_region(conn: Connection, account: AccountId, region: Region) -> None:
    """Raise LimitExceeded if the account would begin to use more regions than it may. Runs in a transaction."""
    if not rows.is_used(conn, account, region) and len(rows.used(conn, account, MOST)) >= MOST:
        raise LimitExceeded(
            f"The account '{account}' already uses the maximum allowed number of regions which is '{MOST}'"
        )
