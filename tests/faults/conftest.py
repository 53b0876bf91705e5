"""The application that faults are sent into."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from moorage.settings import Settings
from tests.inside import Inside, inside


@pytest.fixture
async def registry(database_settings: Settings) -> AsyncIterator[Inside]:
    """`moorage dev`, on each database."""
    async with inside(replace(database_settings, mode="dev")) as made:
        yield made
