"""The rules of account settings, as functions of a connection (docs/development/ecr-behavior.md §12)."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from moorage import events
from moorage.errors import InvalidParameter
from moorage.events import registry as vocabulary
from moorage.names import AccountId, Region
from moorage.registry import quotas
from moorage.store.metadata.repositories import account_settings as rows

DEFAULTS: Final[Mapping[str, str]] = {
    "BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE",
    "REGISTRY_POLICY_SCOPE": "V2",
    "BLOB_MOUNTING": "DISABLED",
}
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE",),
    "REGISTRY_POLICY_SCOPE": ("V1", "V2"),
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}


def get(conn: Connection, account: AccountId, region: Region, name: str) -> str:
    """Return the value of a setting. InvalidParameter if ECR has no setting of that name."""
    check_name(name)
    return rows.get(conn, account, region, name) or DEFAULTS[name]


def put(conn: Connection, account: AccountId, region: Region, name: str, value: str, *, by: str, at: float) -> None:
    """Set a setting. InvalidParameter for an unknown name or value, LimitExceeded if there are too many regions.

    `by` is the principal who makes the change, `at` the time in seconds since the epoch.
    """
    check_value(name, value)
    if rows.get(conn, account, region, name) == value:
        return  # nothing changes, so no cached decision ends
    quotas.require_region(conn, account, region)
    rows.put(conn, account, region, name, value)
    event = vocabulary.AccountSettingChanged(at=at, by=by, account=account, region=region, name=name, value=value)
    events.record(conn, event)


def check_name(name: str) -> None:
    """Raise InvalidParameter if ECR has no setting of that name."""
    if name not in DEFAULTS:
        raise _not_one_of("name", tuple(DEFAULTS))


def check_value(name: str, value: str) -> None:
    """Raise InvalidParameter if the setting has no such value, or if there is no such setting."""
    check_name(name)
    if value not in VALUES[name]:
        raise _not_one_of("value", VALUES[name])


def _not_one_of(member: str, values: tuple[str, ...]) -> InvalidParameter:
    return InvalidParameter.at(member, f"Member must satisfy enum value set: [{', '.join(values)}]")
