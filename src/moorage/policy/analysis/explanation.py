"""The explanation of a decision: every policy set, policy, statement and condition, with its result.

The JSON form is described in docs/development/policy-engine.md §7.1. Members that do not apply are absent.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from moorage.policy.engine.decision import SetName


class ExplainedPrincipal(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The caller of the request."""

    arn: str
    role_arn: str | None
    id: str
    type: str
    account: str | None
    """None for callers without an account, such as anonymous ones."""


class ExplainedRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The request that was decided, without its condition keys."""

    principal: ExplainedPrincipal
    action: str
    resource: str
    resource_account: str
    same_account: bool
    cross_account: bool


class ExplainedPrincipalElement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a statement's Principal or NotPrincipal matched, and how it names the caller."""

    matched: bool | None
    """None if the statement has no such element."""
    kind: str | None


class ExplainedElement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a statement's Action or Resource matched; None if it has no such element."""

    matched: bool | None


class ExplainedCondition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition of a statement, with the values that it compared."""

    operator: str
    key: str
    policy_values: list[str]
    resolved_values: list[str | None]
    """The policy's values with variables replaced; None where a variable has no value."""
    context_values: list[str] | None
    """None if the request does not have the key."""
    key_present: bool
    matched: bool
    because: str


class TextPosition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position in the text of a policy; both numbers begin with 1."""

    line: int
    column: int


class ExplainedStatement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A statement, and the first of its elements that did not match."""

    index: int
    """Position in the policy, from 0."""
    sid: str | None
    effect: Literal["Allow", "Deny"]
    matched: bool
    first_failed: Literal["principal", "action", "resource", "condition"] | None
    principal: ExplainedPrincipalElement
    action: ExplainedElement
    resource: ExplainedElement
    conditions: list[ExplainedCondition]
    statement: dict[str, Any]
    """The statement as it is written in the policy."""
    span: TextPosition


class ExplainedPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A policy of a set."""

    name: str
    hash: str
    version: str | None
    statements: list[ExplainedStatement]


class ExplainedSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A policy set. SCPs and RCPs have one entry for each level.

    A hidden set has no other members than `set` and `called`. A set of which no policy is attached has `present` false.
    """

    set: SetName
    called: str
    """What the set is called for such a request, for example `repository policy`."""
    hidden: Literal[True] | UnsetType = UNSET
    present: bool | UnsetType = UNSET
    result: Literal["allow", "deny", "none"] | UnsetType | None = UNSET
    level: int | UnsetType = UNSET
    """Of SCPs and RCPs, from 0."""
    grant: str | UnsetType = UNSET
    """How the strongest matching Allow of a resource policy names the caller."""
    policies: list[ExplainedPolicy] | UnsetType = UNSET


class ContextValue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition key of the request, with its values and where they come from."""

    key: str
    values: list[str]
    source: str
    """`clock`, `connection`, `resource`, `request` or `credential`."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A decision with all its details, as far as the reader may see them."""

    decision: Literal["ALLOW", "DENY"]
    kind: Literal["explicit", "implicit"] | None
    """Of a denial."""
    decided_by: str
    """The policy set that decided, or `root`, `service` or `request`."""
    decided_in: str | None
    """What the deciding policies are called; None if no policy decided."""
    rule: str
    """Stable id of the evaluation step that decided."""
    reason: str
    message: str | None
    """Of a denial: AWS's message."""
    request: ExplainedRequest
    sets: list[ExplainedSet]
    missing_context: list[str]
    """Condition keys that the policies read and the request does not have."""
