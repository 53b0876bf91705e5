"""The points in time at which a policy may begin to decide differently."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Final

from moorage.policy.language.document import Document
from moorage.policy.matching.conditions import Test, operator_name
from moorage.policy.matching.operators import instant, number

CLOCK_KEYS: Final = frozenset({"aws:currenttime", "aws:epochtime"})
"""The condition keys for the time of a request, in seconds."""
_NANOSECONDS: Final = 10**9


def time_boundaries(document: Document) -> frozenset[int] | None:
    """Return the seconds since 1970 at which a condition of the document may change its result.

    None: the document compares the time as text, so that every second may be one.
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
    if (
        own not in CLOCK_KEYS or name is None or name.base is None
    ):  # Null tests whether the key is present, and it always is
        return set()
    if name.base.name.startswith("Date"):
        instants = [instant(value) for value in test.values]
        return _around([Fraction(each, _NANOSECONDS) for each in instants if each is not None])
    if name.base.name.startswith("Numeric"):
        numbers = [number(value) for value in test.values]
        return _around([each for each in numbers if each is not None])
    return None


def _around(moments: list[Fraction] | list[Decimal]) -> set[int]:
    """Return, for each moment, the first second that is not before it and the first that is after it."""
    return {second for each in moments for second in (math.ceil(each), math.floor(each) + 1)}
