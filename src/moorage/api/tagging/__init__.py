"""The Resource Groups Tagging API: the resource tags of repositories across a registry."""

from moorage.api.tagging import keys, resources, tags  # registers the operations
from moorage.api.tagging.service import NOT_BUILT, TAGGING, TaggingServices

__all__ = ["NOT_BUILT", "TAGGING", "TaggingServices", "keys", "resources", "tags"]
