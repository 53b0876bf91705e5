"""The fixtures that these tests share."""

from tests.access.conftest import house

__all__ = ["house"]
