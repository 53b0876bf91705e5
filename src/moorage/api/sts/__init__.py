"""STS's API over the Query protocol."""

from moorage.api.sts import callers  # registers the operations
from moorage.api.sts.service import STS, StsServices

__all__ = ["STS", "StsServices", "callers"]
