"""The answer of `moorage why` and `GET /_moorage/explain`: an explained decision, with changes that would allow it."""

import msgspec
from msgspec import UNSET, UnsetType

from moorage.policy import Change, ContextValue, Explanation, NewlyAllowed


class ExplainedChange(Change, frozen=True, kw_only=True, rename="camel"):
    """A change of one policy, with whom it would let do what."""

    opens: str


class ExplainedSuggestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Changes that together would allow the request.

    `would_allow` and `would_allow_count` are absent if a change is hidden, because they would reveal what it says.
    """

    changes: list[ExplainedChange]
    """The changes that the reader may see."""
    hidden: list[str]
    """Policy sets with changes that the reader may not see."""
    rule: str
    """Id of the evaluation step that would allow the request."""
    would_allow: list[NewlyAllowed] | UnsetType = UNSET
    """Other recorded requests that would have been allowed."""
    would_allow_count: int | UnsetType = UNSET
    """Number of all such requests."""


class TokenScope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The pull token that made the request, and the options of a token that could make it."""

    token: str
    made_with: list[str]


class RecordedDenials(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The recorded denials that suggestions were tried on."""

    requests: int
    days: int


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A change that the reader can only ask an account to make."""

    account: str
    policy: str
    certain: bool
    """False if the reader cannot know whether those policies allow the request already."""


class ExplainedDecision(Explanation, frozen=True, kw_only=True, rename="camel"):
    """A recorded decision, explained as far as the reader may see it."""

    id: str
    time: str
    """When it was made, ISO 8601; of several equal decisions, the first."""
    count: int
    last_time: str
    context: list[ContextValue]
    cut: list[str] | UnsetType = UNSET
    """Condition keys that the policies read and whose recorded values are truncated. There are no suggestions then."""
    blocked_by: list[str] = msgspec.field(default_factory=list)
    """The policy sets that the smallest suggestion changes."""
    suggestions: list[ExplainedSuggestion] = msgspec.field(default_factory=list)
    """The suggestion that allows the least comes first."""
    out_of_scope: TokenScope | None = None
    recorded: RecordedDenials | None = None
    ask: list[AccountRequest] = msgspec.field(default_factory=list)
    note: str | None = None
    """Why no change of a policy would help."""
