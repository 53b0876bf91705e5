"""Checks, before a server starts, that the database, the sealing keys and the mode belong together.

Secrets are sealed with keys that are kept outside the database. A server with other keys could not verify signatures,
and would seal new secrets that the right keys cannot open.
"""

from typing import Final

from sqlalchemy import Connection

from moorage.data_directory import UnusableDataError
from moorage.identity.principals.unique_ids import secret_purpose
from moorage.sealing import KEY_FILE, SealBrokenError, Sealer, configured_keys, load_or_make_keys
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.deployment import deployment
from moorage.store.metadata.identity import accounts

_PURPOSE: Final = "deployment"
_CONTENT: Final = b"moorage"
_SERVE: Final = "serve"


async def open_sealer(settings: Settings, database: Database) -> Sealer:
    """Return the sealer with the registry's keys. Keys are generated for a database that contains no sealed secret yet.

    Raises UnusableDataError when the keys are missing, cannot be read, or are not those that the database was sealed
    with, and when the database is that of `moorage serve` and the mode is dev.
    """
    mode, sealed, secret = await database.read(_kept)
    if settings.dev and mode == _SERVE:
        raise UnusableDataError(
            f"{_where(settings)} was set up by `moorage init` for `moorage serve`. In dev mode every user of this "
            "machine would be its root, without a password. Run `moorage serve`, or name another directory with --data"
        )
    try:
        keys = configured_keys(settings)
    except ValueError as error:
        message = f"{_source(settings)} does not hold sealing keys (32 bytes in base64, one a line)"
        raise UnusableDataError(message) from error
    if keys is None:
        if sealed is not None or secret is not None:
            raise UnusableDataError(
                f"{_source(settings)} is missing, and secrets in {_where(settings)} are sealed with it. Restore it "
                "from a backup: without it, no access key works"
            )
        keys = load_or_make_keys(settings.data / KEY_FILE)
    sealer = Sealer(keys)
    if not _opens(sealer, sealed, secret):
        raise UnusableDataError(
            f"{_source(settings)} is not the key that secrets in {_where(settings)} are sealed with. Restore the right "
            "one from a backup, or add it as another line: without it, no access key works"
        )
    if sealed is None:
        await database.transaction(lambda conn: _keep(conn, sealer))
    return sealer


async def claim(settings: Settings, database: Database) -> None:
    """Reserve the database for `moorage serve`. Raises UnusableDataError if it has no account."""

    def work(conn: Connection) -> bool:
        if deployment.get(conn, deployment.MODE) != _SERVE:
            if not accounts.any_created(conn):
                return False
            deployment.put(conn, deployment.MODE, _SERVE)
        return True

    if not await database.transaction(work):
        raise UnusableDataError(
            f"there is no account in {_where(settings)}. Restore it from a backup, or run `moorage init`"
        )


def _kept(conn: Connection) -> tuple[str | None, str | None, tuple[str, str] | None]:
    sealed = deployment.get(conn, deployment.SEALED)
    # Databases of earlier versions have no sample text to try the keys on.
    secret = deployment.some_secret(conn) if sealed is None else None
    return deployment.get(conn, deployment.MODE), sealed, secret


def _keep(conn: Connection, sealer: Sealer) -> None:
    if deployment.get(conn, deployment.SEALED) is None:  # another process may have been first
        deployment.put(conn, deployment.SEALED, sealer.seal(_PURPOSE, _CONTENT))


def _opens(sealer: Sealer, sealed: str | None, secret: tuple[str, str] | None) -> bool:
    try:
        if sealed is not None:
            return sealer.open(_PURPOSE, sealed) == _CONTENT
        if secret is not None:
            sealer.open(secret_purpose(secret[0]), secret[1])
    except SealBrokenError:
        return False
    return True


def _source(settings: Settings) -> str:
    return "MOORAGE_SEALING_KEYS" if settings.sealing_keys is not None else str(settings.data / KEY_FILE)


def _where(settings: Settings) -> str:
    return str(settings.data) if settings.database_url is None else "the database"
