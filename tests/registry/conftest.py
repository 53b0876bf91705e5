"""The registry that these tests share."""

from pathlib import Path

import pytest

from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, OTHER, REF, Bench


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    """Two empty repositories of one registry."""
    made = Bench.over(database, tmp_path)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made
