"""Findings on policy variables: where they are not replaced, and misspelled ones.

See docs/development/policy-engine.md §3.4.
"""

import re
from collections.abc import Iterator
from typing import Final

from moorage.policy.catalog.condition_keys import CONDITION_KEYS, condition_key
from moorage.policy.language.elements import WITH_VARIABLES, Entry
from moorage.policy.lint.finding import Finding, Fix
from moorage.policy.lint.subject import Subject, shown

_DEFAULT: Final = re.compile(r"\s*'[^']*'")
_WITHOUT: Final = ("Numeric", "Date", "IpAddress", "NotIpAddress", "Binary", "Null")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield every finding of this kind."""
    for one in subject.unsettled:
        if one.resource is not None:
            for entry in one.resource.entries:
                yield from _entry(subject, entry)
        for test in one.tests:
            name = "Null" if test.operator.base is None else test.operator.base.name
            for entry in test.values:
                if "${" in entry.text and name.startswith(_WITHOUT):
                    message = f"{name} reads no variables: this is plain text."
                    yield subject.finding("INVALID_VARIABLE_FOR_OPERATOR", entry.at, message)
                else:
                    yield from _entry(subject, entry)


def _entry(subject: Subject, entry: Entry) -> Iterator[Finding]:
    if "${" not in entry.text:
        return
    if subject.version != WITH_VARIABLES:
        message = f"{shown(entry.text)} is plain text in a policy of before 2012-10-17."
        yield subject.finding("VARIABLE_UNSUPPORTED_IN_VERSION", entry.at, message)
        return
    position = 0
    while (start := entry.text.find("${", position)) >= 0:
        end = entry.text.find("}", start)
        if end < 0:
            message = f"{shown(entry.text[start:])} has no closing brace, so it is plain text."
            yield subject.finding("MISSING_BRACE_IN_VARIABLE", entry.at, message)
            return
        yield from _variable(subject, entry, entry.text[start + 2 : end])
        position = end + 1


def _variable(subject: Subject, entry: Entry, inside: str) -> Iterator[Finding]:
    if inside in {"*", "?", "$"}:
        return
    written = f"${{{shown(inside)}}}"
    name, comma, default = inside.partition(",")
    if not name.strip():
        yield subject.finding("EMPTY_VARIABLE", entry.at, f"{written} names no key, so it has no value.")
    elif comma and _DEFAULT.fullmatch(default) is None:
        message = f"The default of {written} is not in single quotes."
        yield subject.finding("MISSING_QUOTE_IN_VARIABLE", entry.at, message)
    elif name.partition("/")[0] != "".join(name.partition("/")[0].split()):
        yield subject.finding("UNSUPPORTED_SPACE_IN_VARIABLE", entry.at, f"{written} has a space in its key.")
    else:
        yield from _known(subject, entry, name, written)


def _known(subject: Subject, entry: Entry, name: str, written: str) -> Iterator[Finding]:
    key = condition_key(name)
    if (key is None and name.partition(":")[0].lower() in {"aws", "ecr"}) or ":" not in name:
        near = subject.suggestion(name, [known for known in CONDITION_KEYS if not known.endswith("/")])
        fix = None if near is None else Fix(f"Did you mean ${{{near}}}?")
        yield subject.finding("UNKNOWN_VARIABLE", entry.at, f"{written}: there is no such condition key.", fix)
    elif key is not None and (key.multivalued or not key.populated):
        why = "has several values" if key.multivalued else "is in no request here"
        yield subject.finding("UNKNOWN_VARIABLE", entry.at, f"{written} never has a value: {key.name} {why}.")
