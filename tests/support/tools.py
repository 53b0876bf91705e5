"""Tools that tests drive and that a machine may not have."""

import os
from typing import NoReturn

import pytest


def missing(tool: str) -> NoReturn:
    """Skip the test because `tool` is not installed. Fail instead where CI=true, since CI installs every tool."""
    message = f"{tool} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
