"""Who calls and over which connection: what every decision is made about."""

from typing import TYPE_CHECKING

import msgspec

from moorage import policy
from moorage.names import Region

if TYPE_CHECKING:  # the commands that ask the engine without a server need no database
    from moorage.access.recording import DecisionEntry
    from moorage.identity.credentials.credentials import PolicySets, SessionState
    from moorage.identity.credentials.oidc import WebIdentity


class Connection(msgspec.Struct, frozen=True, gc=False):
    """What belongs to the connection rather than to the credential (docs/development/policy-engine.md §3.6)."""

    source_ip: str
    secure: bool
    user_agent: str | None
    referer: str | None
    host: str
    region: Region
    """The region that is spoken to: of the signature's scope, or of the host name."""
    decisions: "list[DecisionEntry]" = msgspec.field(default_factory=list)
    """What was decided for the request so far; its event in the audit record refers to them."""


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A principal as it authenticated."""

    principal: policy.Principal
    credential: str
    """How: `key`; `session` (GetSessionToken), `role`, `federated`; `token` (a pull token); `web` (an OIDC
    token); `open` (dev, unverified); `anonymous`."""
    key_id: str
    policies: "PolicySets"
    """What comes with the caller: identity policies, boundary, session policies."""
    context: dict[str, str | tuple[str, ...]]
    """Condition keys that belong to the credential, in lower case."""
    expires_at: float | None = None
    """Of a session or pull token: seconds since the epoch."""
    session: "SessionState | None" = None
    """Of a session: its name, tags and what else it was made with."""
    web: "WebIdentity | None" = None
    """Of an OIDC token: what it says."""

    @property
    def verified(self) -> bool:
        """Did it prove to hold a secret? Open keys did not."""
        return self.credential != "open"
