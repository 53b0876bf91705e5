"""Statements about account settings."""

from sqlalchemy import Connection, delete, insert, select, text

from moorage.store.metadata.tables import account_settings

_PROBE = text(
    "INSERT INTO account_settings (account, region, name, value) VALUES ('', '', 'readiness', :value) "
    "ON CONFLICT (account, region, name) DO UPDATE SET value = excluded.value"
)


def get(conn: Connection, account: str, region: str, name: str) -> str | None:
    """Return the stored value of a setting, or None."""
    return conn.execute(
        select(account_settings.c.value).where(
            account_settings.c.account == account,
            account_settings.c.region == region,
            account_settings.c.name == name,
        )
    ).scalar_one_or_none()


def put(conn: Connection, account: str, region: str, name: str, value: str) -> None:
    """Store the value of a setting."""
    conn.execute(
        delete(account_settings).where(
            account_settings.c.account == account,
            account_settings.c.region == region,
            account_settings.c.name == name,
        )
    )
    conn.execute(insert(account_settings).values(account=account, region=region, name=name, value=value))


def probe(conn: Connection, value: str) -> None:
    """Write a row that belongs to no account, to find out whether rows can be written. Several workers may call it."""
    conn.execute(_PROBE, {"value": value})
