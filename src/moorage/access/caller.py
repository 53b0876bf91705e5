"""The caller of a request and its connection."""

from typing import TYPE_CHECKING

import msgspec

from moorage import policy
from moorage.names import Region

if TYPE_CHECKING:  # commands that use the engine without a server do not import the database
    from moorage.access.recording import DecisionEntry
    from moorage.identity.credentials.credentials import PolicySets, SessionState
    from moorage.identity.credentials.oidc import WebIdentity


class Connection(msgspec.Struct, frozen=True, gc=False):
    """The properties of a connection (docs/development/policy-engine.md §3.6)."""

    source_ip: str
    secure: bool
    user_agent: str | None
    referer: str | None
    host: str
    region: Region
    """The requested region: from the scope of the signature, or from the host name."""
    decisions: "list[DecisionEntry]" = msgspec.field(default_factory=list)
    """The decisions made for the request so far; its audit event refers to them."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A principal, and how it authenticated."""

    principal: policy.Principal
    credential: str
    """How: `key`; `session` (GetSessionToken), `role`, `federated`; `token` (a pull token); `web` (an OIDC
    token); `open` (dev, unverified); `anonymous`."""
    key_id: str
    policies: "PolicySets"
    """The caller's own policies: identity policies, boundary, session policies."""
    context: dict[str, str | tuple[str, ...]]
    """Condition keys of the credential, in lower case."""
    expires_at: float | None = None
    """Expiry time of a session or pull token, in seconds since the epoch."""
    session: "SessionState | None" = None
    """Of a session: its name, tags and other parameters."""
    web: "WebIdentity | None" = None
    """The claims of an OIDC token."""

    @property
    def verified(self) -> bool:
        """Whether the caller proved to hold a secret; open keys of dev mode do not."""
        return self.credential != "open"
