"""The registry that is swept: once with layers in the metadata, once with layers in files."""

from pathlib import Path

import pytest

from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, OTHER, REF, Bench


@pytest.fixture(params=[64 * 1024, 0], ids=["small", "files"])
async def bench(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    made = Bench.over(database, tmp_path, small_layer_bytes=request.param)
    for ref in (REF, OTHER):
        await made.repositories.create(ref, by=BY)
    return made
