"""Condition operators: how one value of a request is compared with the values of a policy.

See docs/development/policy-engine.md §3.2. Each operator is built once into a `Comparison`. Negated operators use the
same comparison and reverse its result, which `conditions` does. Values that cannot be parsed as the operator's type
satisfy neither.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache, partial
from operator import eq, ge, gt, le, lt
from typing import Final, NamedTuple, TypeAlias, TypeVar

from moorage.policy.matching.arn import PARTS, arn_matcher, arn_runs, is_arn, split
from moorage.policy.matching.variables import Context, Template
from moorage.policy.matching.wildcard import (
    Matcher,
    Runs,
    Token,
    has_question_mark,
    is_searched,
    matcher,
    matcher_of_any,
)

# Results of a comparison.
NOT_FOUND: Final = 0
FOUND: Final = 1
UNRESOLVED: Final = 2
UNPARSABLE: Final = 3

Comparison = Callable[[str, Context], int]
"""(the request's value, the context) → one of the four results above."""

Build = Callable[[Sequence[str], bool], Comparison]
"""(the policy's values, whether the document has variables) → the comparison."""

_V = TypeVar("_V")
_SEARCHED: Final = 512
"""Characters of a text that is compared with one pattern after the other; for most texts, that is the fastest way."""
_LONGEST: Final = 64
"""Characters of a date or a network; the longest valid ones have fewer."""


class Operator(NamedTuple):
    """A base operator, without qualifier and IfExists."""

    name: str
    build: Build
    negated: bool = False


def _templated(
    make: Callable[[Iterable[Sequence[Token]]], Sequence[Matcher]],
    values: Sequence[str],
    variables: bool,
    *,
    wildcards: bool,
) -> Comparison:
    """`make`: returns, for patterns, functions that each tell whether a value matches one of the patterns."""
    templates = [Template(value, variables=variables, wildcards=wildcards) for value in values]
    fixed = tuple(make([template.fixed for template in templates if template.fixed is not None]))
    moving = tuple(template for template in templates if template.fixed is None)
    if not moving:
        return lambda value, _context: FOUND if any_of(fixed, value) else NOT_FOUND

    def compare(value: str, context: Context) -> int:
        if any_of(fixed, value):
            return FOUND
        patterns = [template.resolve(context) for template in moving]
        if any_of(make([pattern for pattern in patterns if pattern is not None]), value):
            return FOUND
        return UNRESOLVED if None in patterns else NOT_FOUND

    return compare


def any_of(matchers: Sequence[Matcher], value: str) -> bool:
    """Return whether one of them matches."""
    for matches in matchers:  # noqa: SIM110 - a generator takes longer than what it would ask
        if matches(value):
            return True
    return False


def _each(make: Callable[[Sequence[Token]], Matcher]) -> Callable[[Iterable[Sequence[Token]]], Sequence[Matcher]]:
    return lambda patterns: [make(pattern) for pattern in patterns]


def _like(patterns: Iterable[Sequence[Token]]) -> Sequence[Matcher]:
    return _together([(pattern, matcher, ((pattern, False),)) for pattern in patterns])


def _arns_like(patterns: Iterable[Sequence[Token]]) -> Sequence[Matcher]:
    whole, broken = [], []
    for pattern in patterns:
        parts = split(pattern)
        if len(parts) == PARTS:
            whole.append((pattern, partial(_arn, parts), arn_runs(parts)))
        else:
            broken.append(arn_matcher(parts))
    return [*broken, *_together(whole)]


def _arn(parts: Sequence[Sequence[Token]], _pattern: Sequence[Token]) -> Matcher:
    return arn_matcher(parts)


_One: TypeAlias = tuple[Sequence[Token], Callable[[Sequence[Token]], Matcher], Runs]
"""A pattern, what creates a matcher for it alone, and its runs."""


def _together(patterns: Sequence[_One]) -> Sequence[Matcher]:
    """Return matchers of all patterns. Those that look at more than both ends of a long text run side by side."""
    matchers: list[Matcher] = []
    searched: list[Matcher] = []
    of_searched: list[Runs] = []
    of_questions: list[Runs] = []
    for pattern, make, runs in patterns:
        if has_question_mark(pattern):
            of_questions.append(runs)
        elif is_searched(pattern):
            searched.append(make(pattern))
            of_searched.append(runs)
        else:
            matchers.append(make(pattern))
    if of_questions:
        matchers.append(matcher_of_any(of_questions))
    if searched:
        matchers.append(
            lambda value: any_of(searched, value) if len(value) <= _SEARCHED else matcher_of_any(of_searched)(value)
        )
    return matchers


def _joined(pattern: Iterable[Token]) -> str:
    return "".join(str(token) for token in pattern)


def _equal(pattern: Sequence[Token]) -> Matcher:
    return _joined(pattern).__eq__


def _equal_ignoring_case(pattern: Sequence[Token]) -> Matcher:
    wanted = _joined(pattern).casefold()
    return lambda value: value.casefold() == wanted


def _equal_boolean(pattern: Sequence[Token]) -> Matcher:
    wanted = _joined(pattern).lower()
    return lambda value: value.lower() == wanted


def _string_equals(values: Sequence[str], variables: bool) -> Comparison:
    if variables and any("${" in value for value in values):
        return _templated(_each(_equal), values, variables, wildcards=False)
    wanted = frozenset(values)
    return lambda value, _context: FOUND if value in wanted else NOT_FOUND


def _string_equals_ignore_case(values: Sequence[str], variables: bool) -> Comparison:
    return _templated(_each(_equal_ignoring_case), values, variables, wildcards=False)


def _string_like(values: Sequence[str], variables: bool) -> Comparison:
    return _templated(_like, values, variables, wildcards=True)


def _bool(values: Sequence[str], variables: bool) -> Comparison:
    among = _templated(_each(_equal_boolean), values, variables, wildcards=False)
    return lambda value, context: among(value, context) if value.lower() in {"true", "false"} else UNPARSABLE


def _arn_like(values: Sequence[str], variables: bool) -> Comparison:
    among = _templated(_arns_like, values, variables, wildcards=True)
    malformed = any("${" not in value and not is_arn(value) for value in values)

    def compare(value: str, context: Context) -> int:
        if not is_arn(value):
            return UNPARSABLE
        found = among(value, context)
        return UNPARSABLE if malformed and found != FOUND else found

    return compare


def _typed(
    read: Callable[[str], _V | None], holds: Callable[[_V, _V], bool], values: Sequence[str], _variables: bool
) -> Comparison:
    """Return the comparison of values of one type. `holds(request's value, policy's value)`; there are no variables."""
    wanted = [read(value) for value in values]
    readable = tuple(value for value in wanted if value is not None)
    otherwise = NOT_FOUND if len(readable) == len(wanted) else UNPARSABLE

    def compare(value: str, _context: Context) -> int:
        given = read(value)
        if given is None:
            return UNPARSABLE
        for one in readable:
            if holds(given, one):
                return FOUND
        return otherwise

    return compare


_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64})(?:[eE][+-]?[0-9]{1,3})?")


def number(text: str) -> Decimal | None:
    """Return a decimal number; None if it is not valid."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


_DATE: Final = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:Z|([+-])([0-9]{2}):?([0-9]{2})))?)?)?"
)
_EPOCH: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?")


def _read_instant(text: str) -> int | None:
    """Return the nanoseconds since 1970 of an ISO 8601 date (W3C profile; a bare date is its start, UTC) or of Unix
    seconds.

    Four digits are a year.
    """
    date = _DATE.fullmatch(text)
    if date is None:
        epoch = _EPOCH.fullmatch(text)
        return None if epoch is None else int(epoch[1]) * 10**9 + _nanoseconds(epoch[2])
    zone = UTC if date[8] is None else _offset(date[8], int(date[9]), int(date[10]))
    year, month, day, hour, minute, second = (
        int(date[group] or least) for group, least in enumerate((0, 1, 1, 0, 0, 0), 1)
    )
    if zone is None:
        return None
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + _nanoseconds(date[7])


_known_instant: Final = lru_cache(maxsize=1024)(_read_instant)


def instant(text: str) -> int | None:
    """Return the result of `_read_instant`. Any text may be passed; only texts that can be dates are cached."""
    return _known_instant(text) if len(text) <= _LONGEST else None


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "").ljust(9, "0"))


def _offset(sign: str, hours: int, minutes: int) -> timezone | None:
    if hours > 23 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


_Network: TypeAlias = tuple[int, int, int]
"""The version, the first address, the mask. A plain tuple is unpacked twice as fast as a named one."""


# Python would also accept a netmask after the slash; IAM accepts only CIDR notation.
_CIDR: Final = re.compile(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")


def _read_network(text: str) -> _Network | None:
    """Return an address (as a network of one) or a CIDR range; host bits are masked; IPv4 inside IPv6 becomes IPv4."""
    if _CIDR.fullmatch(text) is None:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network.version, int(network.network_address), int(network.netmask)


_known_network: Final = lru_cache(maxsize=4096)(_read_network)


def _network(text: str) -> _Network | None:
    """Return the result of `_read_network`. Any text may be passed; only texts that can be addresses are cached."""
    return _known_network(text) if len(text) <= _LONGEST else None


def is_exact_network(text: str) -> bool:
    """Return whether `text` is an address, or a range whose address has no bits beyond its mask."""
    network = _network(text)
    if network is None or text.count("/") > 1:
        return False
    address = _network(text.partition("/")[0])
    return address is not None and address[1] == network[1]


def is_address(text: str) -> bool:
    """Return whether the value of a condition key is a single address."""
    return "/" not in text and _network(text) is not None


def _ip_address(values: Sequence[str], _variables: bool) -> Comparison:
    networks = [_network(value) for value in values]
    readable = tuple(network for network in networks if network is not None)
    otherwise = NOT_FOUND if len(readable) == len(networks) else UNPARSABLE

    def compare(value: str, _context: Context) -> int:
        address = None if "/" in value else _network(value)
        if address is None:
            return UNPARSABLE
        given, bits, _ = address
        for version, first, mask in readable:
            if bits & mask == first and given == version:
                return FOUND
        return otherwise

    return compare


_OPERATORS: Final = (
    Operator("StringEquals", _string_equals),
    Operator("StringNotEquals", _string_equals, negated=True),
    Operator("StringEqualsIgnoreCase", _string_equals_ignore_case),
    Operator("StringNotEqualsIgnoreCase", _string_equals_ignore_case, negated=True),
    Operator("StringLike", _string_like),
    Operator("StringNotLike", _string_like, negated=True),
    Operator("NumericEquals", partial(_typed, number, eq)),
    Operator("NumericNotEquals", partial(_typed, number, eq), negated=True),
    Operator("NumericLessThan", partial(_typed, number, lt)),
    Operator("NumericLessThanEquals", partial(_typed, number, le)),
    Operator("NumericGreaterThan", partial(_typed, number, gt)),
    Operator("NumericGreaterThanEquals", partial(_typed, number, ge)),
    Operator("DateEquals", partial(_typed, instant, eq)),
    Operator("DateNotEquals", partial(_typed, instant, eq), negated=True),
    Operator("DateLessThan", partial(_typed, instant, lt)),
    Operator("DateLessThanEquals", partial(_typed, instant, le)),
    Operator("DateGreaterThan", partial(_typed, instant, gt)),
    Operator("DateGreaterThanEquals", partial(_typed, instant, ge)),
    Operator("Bool", _bool),
    Operator("BinaryEquals", partial(_typed, _bytes, eq)),
    Operator("IpAddress", _ip_address),
    Operator("NotIpAddress", _ip_address, negated=True),
    Operator("ArnEquals", _arn_like),
    Operator("ArnLike", _arn_like),
    Operator("ArnNotEquals", _arn_like, negated=True),
    Operator("ArnNotLike", _arn_like, negated=True),
)

OPERATORS: Final = {operator.name.lower(): operator for operator in _OPERATORS}
"""Every base operator but Null, by its name in lower case."""
