"""The application that faults are sent into."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.settings import Settings
from tests.inside import Inside, inside


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Inside]:
    """`moorage dev`."""
    async with inside(Settings(mode="dev", data=tmp_path / "data")) as made:
        yield made


@pytest.fixture
async def registry_on_each(database_settings: Settings) -> AsyncIterator[Inside]:
    """`moorage dev`, on each database."""
    async with inside(replace(database_settings, mode="dev")) as made:
        yield made
