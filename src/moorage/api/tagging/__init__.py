"""The Resource Groups Tagging API: the resource tags of repositories across a registry."""

from moorage.api.tagging.operations import NOT_BUILT, TAGGING
from moorage.api.tagging.service import TaggingServices

__all__ = ["NOT_BUILT", "TAGGING", "TaggingServices"]
