"""Quotas of accounts, registries, repositories and images. The checks run in the transaction of the change."""

from typing import Final

from sqlalchemy import Connection

from moorage.errors import LimitExceeded
from moorage.names import AccountId, Region, RepositoryRef
from moorage.settings import Settings
from moorage.store.metadata.repositories import regions as region_rows
from moorage.store.metadata.repositories import repositories as repository_rows

MAX_REGIONS: Final = 100
"""Regions of an account. AWS has fewer than fifty, but here every well-formed name is a region."""


def require_region(conn: Connection, account: AccountId, region: Region) -> None:
    """Raise LimitExceeded if this region would be one more than the account may use.

    Every other quota of a registry counts within one region, so the number of regions needs a bound of its own.
    """
    if (
        not region_rows.is_used(conn, account, region)
        and len(region_rows.used(conn, account, MAX_REGIONS)) >= MAX_REGIONS
    ):
        raise LimitExceeded(
            f"The account '{account}' already uses the maximum allowed number of regions which is '{MAX_REGIONS}'"
        )


def require_repository_room(conn: Connection, ref: RepositoryRef, settings: Settings) -> None:
    """Raise LimitExceeded if the registry is full, or if its region would be one more than the account may use."""
    require_region(conn, ref.account, ref.region)
    limit = settings.repositories_per_registry
    if repository_rows.reaches(conn, ref.account, ref.region, limit):
        raise LimitExceeded(
            f"The registry with id '{ref.account}' already has the maximum allowed number of "
            f"repositories which is '{limit}'"
        )


def quota_exceeded(rule: str) -> LimitExceeded:
    """Return the error for a request that would break `rule`, one of ECR's quotas."""
    return LimitExceeded(f"The operation did not succeed because it would have exceeded a service limit: {rule}")
