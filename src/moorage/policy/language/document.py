"""A policy document: parsed, checked against its kind and compiled; and its canonical text."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final

from moorage.policy.language.canonical import Json, canonical_text
from moorage.policy.language.elements import WITH_VARIABLES, Listed, PolicyElements, StatementElements
from moorage.policy.language.json_reader import read, read_quickly
from moorage.policy.language.kind import Kind
from moorage.policy.language.template import Template
from moorage.policy.matching.action import Actions
from moorage.policy.matching.conditions import Test
from moorage.policy.matching.errors import ErrorCollector
from moorage.policy.matching.principal import Principals, account_named
from moorage.policy.matching.resource import Resources
from moorage.policy.matching.statement import Statement

_NOTHING: Final[Mapping[str, str]] = {}

# Bytes, measured with tracemalloc (Python 3.11). Texts are held at most twice, in the document and in parts of it.
_DOCUMENT: Final = 500
_STATEMENT: Final = 2500
_ENTRY: Final = 400
_TEST: Final = 1500


class Document:
    """A valid policy. `parsed.parse` creates it; it never changes."""

    __slots__ = ("id", "kind", "principals", "size", "statements", "text", "version")

    def __init__(self, found: PolicyElements, kind: Kind, text: str, templates: Sequence[Template | None] = ()) -> None:
        """`found`: the elements of a valid policy of that kind. `text`: what they were read from.

        `templates`: the template of each statement, None for a statement without one.
        """
        variables = found.version == WITH_VARIABLES
        self.kind = kind
        self.text = text
        self.version: str | None = found.version
        """As written; None (no Version) has the rules of 2008-10-17."""
        self.id: str | None = found.id
        self.statements: tuple[Statement, ...] = tuple(
            [_compiled(one, kind, variables, template) for one, template in zip_longest(found.statements, templates)]
        )
        self.principals: tuple[str, ...] = tuple(
            text for one in found.statements if one.principal is not None for text in _under("AWS", one.principal)
        )
        """The texts under `AWS` as written, in order, including `*`."""
        self.size: int = _size(found, text)
        """Approximate bytes, for caches."""

    def canonical(self, renamed: Mapping[str, str] = _NOTHING) -> str:
        """Return the text as ECR returns it: canonical order and spacing, accounts as root ARNs.

        See docs/development/policy-engine.md §1.4. `renamed`: replacements for texts under `AWS` (unique ids for ARNs,
        or the reverse).
        """
        members = read_quickly(self.text)
        return canonical(members if members is not None else read(self.text, {}, ErrorCollector(keep=False)), renamed)

    def stored_as(self, text: str, renamed: Mapping[str, str]) -> "Document":
        """Return the document of `text`, which is `canonical(renamed)`, without parsing it."""
        other = object.__new__(Document)
        other.kind, other.version, other.id, other.text = self.kind, self.version, self.id, text
        other.statements = tuple(one.renamed(renamed) for one in self.statements)
        other.principals = tuple(renamed.get(each) or _as_root_arn(each) for each in self.principals)
        other.size = self.size + len(text) - len(self.text)
        return other


def canonical(
    members: Mapping[str, Json], renamed: Mapping[str, str], templates: Sequence[Template | None] = ()
) -> str:
    """Return the canonical text of a policy's JSON, as `Document.canonical` does."""
    return canonical_text(members, lambda text: renamed.get(text) or _as_root_arn(text), templates)


def _size(found: PolicyElements, text: str) -> int:
    entries = tests = values = 0
    for one in found.statements:
        entries += len(one.action.entries)
        entries += 0 if one.principal is None else len(one.principal.entries)
        entries += 0 if one.resource is None else len(one.resource.entries)
        tests += len(one.tests)
        values += sum(len(each.values) for each in one.tests)
    return 2 * len(text) + _DOCUMENT + _STATEMENT * len(found.statements) + _ENTRY * (entries + values) + _TEST * tests


def _compiled(one: StatementElements, kind: Kind, variables: bool, template: Template | None) -> Statement:
    principal, resource = one.principal, one.resource
    compiled = None if template is None else template.compiled
    if compiled is None:
        service = kind.rules.granted_service if one.effect == "Allow" else None
        tests = [
            Test(test.operator, test.key, [value.text for value in test.values], variables=variables)
            for test in one.tests
        ]
        compiled = Actions(one.action.texts, negated=one.action.negated, service=service), tuple(tests)
        if template is not None:
            template.compiled = compiled
    actions, conditions = compiled
    return Statement(
        one.number,
        one.sid,
        "Allow" if one.effect == "Allow" else "Deny",
        None if principal is None else _named(principal),
        actions,
        None if resource is None else Resources(resource.texts, negated=resource.negated, variables=variables),
        conditions,
    )


def _named(principal: Listed) -> Principals:
    aws: list[str] = []
    services: list[str] = []
    federated: list[str] = []
    under = {"AWS": aws, "Service": services, "Federated": federated}
    for entry in principal.entries:
        if entry.key in under:  # a canonical user of S3 is never a caller here
            under[entry.key].append(entry.text)
    return Principals(aws, services, federated, negated=principal.negated)


def _under(key: str, principal: Listed) -> list[str]:
    return [entry.text for entry in principal.entries if entry.key == key]


def _as_root_arn(principal: str) -> str:
    # An account id has no partition. That ECR writes `aws` is not verified.
    return f"arn:aws:iam::{principal}:root" if account_named(principal) == principal else principal
