"""When, by the clock alone, what a policy says may change."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Final

from moorage.policy.language.document import Document
from moorage.policy.matching.conditions import Test, operator_name
from moorage.policy.matching.operators import instant, number

CLOCK_KEYS: Final = frozenset({"aws:currenttime", "aws:epochtime"})
"""The condition keys that say when a request was made, to the second."""
_NANOSECONDS: Final = 10**9


def time_boundaries(document: Document) -> frozenset[int] | None:
    """The seconds (since 1970) that may differ, for the document's conditions, from the second before.

    None: it reads the time as text, so that any may.
    """
    points: set[int] = set()
    for statement in document.statements:
        if CLOCK_KEYS.isdisjoint(statement.reads):
            continue
        if statement.resources is not None and not CLOCK_KEYS.isdisjoint(statement.resources.reads):
            return None
        for test in statement.conditions:
            found = _of_test(test)
            if found is None:
                return None
            points |= found
    return frozenset(points)


def _of_test(test: Test) -> set[int] | None:
    own, *variables = test.reads
    if not CLOCK_KEYS.isdisjoint(variables):
        return None
    name = operator_name(test.operator)
    if own not in CLOCK_KEYS or name is None or name.base is None:  # Null asks whether there is a time, and there is
        return set()
    if name.base.name.startswith("Date"):
        instants = [instant(value) for value in test.values]
        return _around([Fraction(each, _NANOSECONDS) for each in instants if each is not None])
    if name.base.name.startswith("Numeric"):
        numbers = [number(value) for value in test.values]
        return _around([each for each in numbers if each is not None])
    return None


def _around(moments: list[Fraction] | list[Decimal]) -> set[int]:
    """Of each, the first second that is not before it, and the first that is after it."""
    return {second for each in moments for second in (math.ceil(each), math.floor(each) + 1)}
