"""One compiled statement, matched with a request element by element (docs/development/policy-engine.md §2.2)."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from moorage.policy.matching.action import Actions
from moorage.policy.matching.conditions import Because, Outcome, Test
from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.principal import ANY, NONE, STRENGTHS, Principal, Principals
from moorage.policy.matching.resource import Resources
from moorage.policy.matching.variables import Context

Effect = Literal["Allow", "Deny"]
Element = Literal["principal", "action", "resource", "condition"]


class TestDetail(msgspec.Struct, frozen=True):
    """One condition test in full."""

    __test__ = False

    operator: str
    key: str
    policy_values: tuple[str, ...]
    resolved_values: tuple[str | None, ...]
    """With variables replaced; null where a variable has no value."""
    context_values: tuple[str, ...] | None
    """Null: the request does not have the key."""
    matched: bool
    because: Because


class Detail(msgspec.Struct, frozen=True):
    """Every element of a statement, matched or not. Null: the statement has no such element, or needs none."""

    principal: bool | None
    action: bool
    resource: bool | None
    conditions: tuple[TestDetail, ...]


class Finding(msgspec.Struct, frozen=True):
    """The result of matching a statement with a request."""

    index: int
    """Index in the document, from 0."""
    sid: str | None
    effect: Effect
    matched: bool
    first_failed: Element | None = None
    strength: str = "none"
    """How its Principal names the caller: account, limited, direct, any, service; `none` without one."""
    operator: str | None = None
    """The operator of the first condition test that failed, with its key and reason."""
    key: str | None = None
    because: Because | None = None
    detail: Detail | None = None


class Inquiry(msgspec.Struct, frozen=True, gc=False):
    """The caller and the action: the part of a request that stays the same from one to the next."""

    caller: Principal
    action: str
    """In lower case."""
    bounded: bool
    """Whether the caller has a permissions boundary."""


class Statement:
    """A statement, compiled once. It is matched in two steps, so that the result of the first can be cached
    (`evaluate.Plan`).

    Equal findings of a statement are one object, which lives as long as the statement.
    """

    __slots__ = (
        "_findings",
        "_resources",
        "actions",
        "allow",
        "conditions",
        "depends_on_request",
        "effect",
        "index",
        "principals",
        "reads",
        "reads_resource",
        "resources",
        "sid",
    )

    def __init__(
        self,
        index: int,
        sid: str | None,
        effect: Effect,
        principals: Principals | None,
        actions: Actions,
        resources: Resources | None,
        conditions: tuple[Test, ...],
    ) -> None:
        self.index = index
        self.sid = sid
        self.effect: Effect = effect
        self.allow = effect == "Allow"
        self.principals = principals
        self.actions = actions
        self.resources = resources
        self.conditions = conditions
        self._resources: Final = None if resources is None or resources.covers_everything else resources
        self.depends_on_request: Final = bool(conditions) or self._resources is not None
        """Whether a match depends on more than the caller and the action."""
        self.reads_resource: Final = self._resources is not None
        variables = () if self._resources is None else self._resources.reads
        keys = [key for test in conditions for key in test.reads]
        self.reads: Final = tuple(sorted({*variables, *keys}) if variables or len(keys) > 1 else keys)
        """The condition keys that `check` reads, each once."""
        self._findings: Final[dict[object, Finding]] = {}
        """The findings created so far, by the element that failed, the strength of a match, the test, and why it
        failed."""

    def renamed(self, names: Mapping[str, str]) -> "Statement":
        """Return the same statement with other names for some of its principals; itself if it has none of them."""
        principals = None if self.principals is None else self.principals.renamed(names)
        if principals is self.principals:
            return self
        return Statement(self.index, self.sid, self.effect, principals, self.actions, self.resources, self.conditions)

    def match_caller(self, inquiry: Inquiry, *, by_principal: bool) -> Finding:
        """Do the first step: return the finding by caller and action alone.

        A match is final unless the statement `depends_on_request`; then `check` decides. `by_principal`: the statement
        belongs to a set whose statements need a Principal.
        """
        strength = NONE
        if by_principal:
            strength = self._strength(inquiry)
            if strength == NONE:
                return self._failed("principal")
        elif self.principals is not None:
            return self._failed("principal")
        if not self.actions.match(inquiry.action):
            return self._failed("action")
        finding = self._findings.get(strength)
        if finding is None:
            finding = self._findings[strength] = Finding(
                self.index, self.sid, self.effect, matched=True, strength=STRENGTHS[strength]
            )
        return finding

    def check(self, resource: str, context: Context, met: Finding) -> Finding:
        """Do the second step: return `met`, the match of the first step, unless the resource or a condition fails.

        The result depends only on `resource` (if `reads_resource`) and on the values of the keys in `reads`.

        Raises UnfitRequestError (`conditions`) for a context value that is not text.
        """
        resources = self._resources
        if resources is not None and not resources.match(resource, context, self.allow):
            return self._failed("resource")
        for test in self.conditions:
            value, compare = context.get(test.key), test.plain
            if compare is not None and type(value) is str:  # does what `Test.check` does, without the call
                outcome = test.outcomes[compare(value, context)]
            else:
                outcome = test.check(context)
            if not outcome.matched:
                return self._finding(test, outcome)
        return met

    def explain(
        self, inquiry: Inquiry, resource: str, context: Context, finding: Finding, *, by_principal: bool
    ) -> Finding:
        """Return `finding`, the result of the two steps, with the details of every element."""
        resources = self.resources
        detail = Detail(
            self._strength(inquiry) != NONE if by_principal else None,
            self.actions.match(inquiry.action),
            None if resources is None else resources.match(resource, context, self.allow),
            tuple(_test_detail(test, context) for test in self.conditions),
        )
        return msgspec.structs.replace(finding, detail=detail)

    def _strength(self, inquiry: Inquiry) -> int:
        principals = self.principals
        if principals is None:
            return NONE
        if principals.negated and inquiry.bounded and not self.allow:
            # In AWS, a Deny with NotPrincipal applies to every caller with a permissions boundary, listed or not.
            return ANY
        return principals.strength(inquiry.caller)

    def _failed(self, element: Element) -> Finding:
        finding = self._findings.get(element)
        if finding is None:
            finding = self._findings[element] = Finding(
                self.index, self.sid, self.effect, matched=False, first_failed=element
            )
        return finding

    def _finding(self, test: Test, outcome: Outcome) -> Finding:
        finding = self._findings.get((test, outcome.because))
        if finding is None:
            finding = self._findings[test, outcome.because] = Finding(
                self.index,
                self.sid,
                self.effect,
                matched=False,
                first_failed="condition",
                operator=test.operator,
                key=test.name,
                because=outcome.because,
            )
        return finding


def _test_detail(test: Test, context: Context) -> TestDetail:
    value = context.get(test.key)
    try:
        outcome = test.check(context)
    except UnfitRequestError:
        # The decision did not depend on this test, or it would have ended there.
        outcome, value = Outcome(False, "type-unparsable"), None
    return TestDetail(
        test.operator,
        test.name,
        test.values,
        test.resolved(context),
        (value,) if isinstance(value, str) else value,
        outcome.matched,
        outcome.because,
    )
