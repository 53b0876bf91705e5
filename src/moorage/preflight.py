"""Checks made before a server starts its workers, so that a person reads one sentence about a problem and no traceback.

The workers open the same things again; they log what breaks in between.
"""

import asyncio

from moorage.data_directory import UnusableDataError
from moorage.identity.accounts.deployment import claim, open_sealer
from moorage.identity.credentials.oidc import read_issuers
from moorage.settings import Settings
from moorage.store.metadata.database.open import open_database


def check(settings: Settings) -> None:
    """Raise SettingError or UnusableDataError if a server with these settings cannot start.

    The data directory exists already. The database is upgraded, and a new one gets its sealing key. No thread is left
    running.
    """
    if settings.oidc_issuers is not None:
        read_issuers(settings.oidc_issuers)
    try:
        asyncio.run(_open(settings))
    except OSError as error:
        raise UnusableDataError(f"data: {error.filename or settings.data} cannot be used: {error.strerror}") from error


async def _open(settings: Settings) -> None:
    database = await open_database(settings)
    try:
        await open_sealer(settings, database)
        if not settings.dev:
            await claim(settings, database)
    finally:
        await database.close()
