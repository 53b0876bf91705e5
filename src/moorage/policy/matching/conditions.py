"""Condition elements: operator, key and values, whether they hold, and why (docs/development/policy-engine.md §3)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from moorage.policy.matching.errors import UnfitRequestError
from moorage.policy.matching.operators import OPERATORS, Comparison, Operator
from moorage.policy.matching.variables import Context, Template, shown

Because = Literal[
    "equal",
    "no-value-matched",
    "key-present",
    "key-missing",
    "key-missing-negated",
    "key-missing-ifexists",
    "multivalued-without-set-operator",
    "variable-unresolved",
    "type-unparsable",
    "empty-set",
]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Whether a test holds, and why."""

    matched: bool
    because: Because


_OUTCOMES: Final = (
    Outcome(False, "no-value-matched"),
    Outcome(True, "equal"),
    Outcome(False, "variable-unresolved"),
    Outcome(False, "type-unparsable"),
)
"""Outcomes by the result of a comparison: at NOT_FOUND, FOUND, UNRESOLVED, UNPARSABLE."""
_NEGATED_OUTCOMES: Final = (
    Outcome(True, "no-value-matched"),
    Outcome(False, "equal"),
    Outcome(True, "variable-unresolved"),
    Outcome(False, "type-unparsable"),
)
"""The outcomes of negated operators."""
_MULTIVALUED: Final = Outcome(False, "multivalued-without-set-operator")
_EMPTY_HOLDS: Final = Outcome(True, "empty-set")
_EMPTY_FAILS: Final = Outcome(False, "empty-set")

Qualifier = Literal["", "ForAllValues:", "ForAnyValue:"]
_QUALIFIERS: Final[tuple[Qualifier, ...]] = ("ForAllValues:", "ForAnyValue:")
_LONGEST_OPERATOR: Final = 64
"""Characters; the longest operator has fewer."""
_IF_EXISTS: Final = "ifexists"
_NULL: Final = "null"


class OperatorName(NamedTuple):
    """The parts of an operator's full name. `base` is None for Null."""

    qualifier: Qualifier
    base: Operator | None
    if_exists: bool
    text: str
    """In AWS's spelling."""


def operator_name(text: str) -> OperatorName | None:
    """Parse `[ForAllValues:|ForAnyValue:]Base[IfExists]` in any case; return None if it is not valid. Null has no
    IfExists form."""
    return _read_operator(text) if len(text) <= _LONGEST_OPERATOR else None


@lru_cache(maxsize=512)
def _read_operator(text: str) -> OperatorName | None:
    rest = text.lower()
    qualifier: Qualifier = ""
    for one in _QUALIFIERS:
        if rest.startswith(one.lower()):
            qualifier, rest = one, rest[len(one) :]
            break
    if rest == _NULL:
        return OperatorName(qualifier, None, False, f"{qualifier}Null")
    if_exists = rest.endswith(_IF_EXISTS)
    base = OPERATORS.get(rest.removesuffix(_IF_EXISTS))
    if base is None:
        return None
    return OperatorName(qualifier, base, if_exists, f"{qualifier}{base.name}{'IfExists' if if_exists else ''}")


class Test:
    """One key under one operator."""

    __slots__ = (
        "_compare",
        "_missing",
        "_qualifier",
        "_variables",
        "key",
        "name",
        "operator",
        "outcomes",
        "plain",
        "reads",
        "values",
    )
    __test__ = False

    def __init__(self, operator: OperatorName, key: str, values: Sequence[str], *, variables: bool) -> None:
        """`key`: as written; compared without regard to case. `values`: as texts."""
        self.operator = operator.text
        self.name = key
        self.key = key.lower()
        self.values = tuple(values)
        self._qualifier = operator.qualifier
        self._compare: Comparison | None = None
        self.plain: Comparison | None = None
        """The comparison, if it takes one value, as most do. Its result is an index into `outcomes`."""
        self._variables: Final = variables and any("${" in value for value in self.values)
        templates = self._templates() if self._variables else ()
        self.reads: Final = (self.key, *[key for template in templates for key in template.reads])
        """The condition keys whose values decide the outcome: the test's own key, and those of variables."""
        self.outcomes = _OUTCOMES
        if operator.base is None:
            self._missing = self._null(present=False)
        else:
            self._compare = operator.base.build(self.values, variables)
            self.plain = None if self._qualifier else self._compare
            self.outcomes = _NEGATED_OUTCOMES if operator.base.negated else _OUTCOMES
            self._missing = _missing(operator)

    def check(self, context: Context) -> Outcome:
        """Return whether the test holds. Raise UnfitRequestError for a value that is not text."""
        value = context.get(self.key)
        if self.plain is not None and isinstance(value, str):
            return self.outcomes[self.plain(value, context)]
        if value is None or value == ():
            return self._missing
        compare = self._compare
        if compare is None:
            return self._null(present=True)
        values = (value,) if isinstance(value, str) else value
        if not (isinstance(values, tuple) and all(isinstance(one, str) for one in values)):
            raise UnfitRequestError(f"the value of {self.key} is neither text nor a tuple of texts")
        return self._check_set(values, compare, context) if self._qualifier else _MULTIVALUED

    def _check_set(self, values: tuple[str, ...], compare: Comparison, context: Context) -> Outcome:
        every = self._qualifier == "ForAllValues:"
        if every and not any(values):
            # A list of empty texts only counts as an empty list (docs/development/policy-engine.md §3.3).
            values = ()
        outcome = _EMPTY_HOLDS if every else _EMPTY_FAILS
        for value in values:
            outcome = self.outcomes[compare(value, context)]
            if outcome.matched is not every:
                break
        return outcome

    def _null(self, *, present: bool) -> Outcome:
        wanted = "false" if present else "true"
        return Outcome(wanted in map(str.lower, self.values), "key-present" if present else "key-missing")

    def resolved(self, context: Context) -> tuple[str | None, ...]:
        """Return the values of the policy with their variables replaced; None for a value whose variable is missing."""
        patterns = [template.resolve(context) for template in self._templates()]
        return tuple(None if pattern is None else shown(pattern) for pattern in patterns)

    def _templates(self) -> list[Template]:
        return [Template(value, variables=self._variables, wildcards=False) for value in self.values]


def _missing(operator: OperatorName) -> Outcome:
    if operator.if_exists:
        return Outcome(True, "key-missing-ifexists")
    if operator.qualifier:
        return Outcome(operator.qualifier == "ForAllValues:", "empty-set")
    if operator.base is not None and operator.base.negated:
        return Outcome(True, "key-missing-negated")
    return Outcome(False, "key-missing")
