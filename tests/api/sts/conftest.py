"""The fixtures that these tests share."""

from tests.api.iam.conftest import root

__all__ = ["root"]
