"""The registry that is swept."""

from tests.registry.conftest import bench

__all__ = ["bench"]
