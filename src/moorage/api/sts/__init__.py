"""STS's API over the Query protocol."""

from moorage.api.sts import (  # registers the operations
    assume_role,
    authorization_messages,
    callers,
    federation,
    saml,
    web_identity,
)
from moorage.api.sts.service import STS, StsServices

__all__ = [
    "STS",
    "StsServices",
    "assume_role",
    "authorization_messages",
    "callers",
    "federation",
    "saml",
    "web_identity",
]
