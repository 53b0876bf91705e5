"""The application that faults are sent into."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.settings import Settings
from tests.support.in_process import InProcess, in_process


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[InProcess]:
    """`moorage dev`."""
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as made:
        yield made


@pytest.fixture
async def registry_on_each(database_settings: Settings) -> AsyncIterator[InProcess]:
    """`moorage dev`, on each database."""
    async with in_process(replace(database_settings, mode="dev")) as made:
        yield made
