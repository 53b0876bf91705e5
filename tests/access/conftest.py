"""The house that these tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moorage.settings import Settings
from moorage.store.metadata.audit.audit import AuditStore
from moorage.store.metadata.database.open import open_database
from tests.access.house import APP, BY, House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With the empty repository `team/app` of the owner; nothing is open."""
    settings = Settings(data=tmp_path)
    database, audit = await open_database(settings), await AuditStore.open(settings)
    made = House.over(database, audit, settings)
    await made.registry.repositories.create(APP, by=BY)
    yield made
    await audit.close()
    await database.close()
