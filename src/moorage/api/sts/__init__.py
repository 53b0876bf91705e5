"""STS's API over the Query protocol."""

from moorage.api.sts.operations import STS
from moorage.api.sts.service import StsServices

__all__ = ["STS", "StsServices"]
