"""A policy document: parsed, checked against its kind, compiled; and its canonical text."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from moorage.policy.action import Actions
from moorage.policy.canonical import Json, canonical_text
from moorage.policy.conditions import Test
from moorage.policy.elements import WITH_VARIABLES, Listed, StatementElements, elements
from moorage.policy.fault import Faults
from moorage.policy.kind import Kind
from moorage.policy.principal import Principals, account_named
from moorage.policy.reading import as_list, read
from moorage.policy.resource import Resources
from moorage.policy.statement import Statement

_NOTHING: Final[Mapping[str, str]] = {}


class Document:
    """A valid policy. Made by `parse`; never changes."""

    __slots__ = ("_json", "id", "kind", "principals", "statements", "text", "version")

    def __init__(self, document: Mapping[str, Json], kind: Kind, text: str) -> None:
        """Raises PolicyError when `document` is not a policy of that kind. `text` is what it was read from."""
        found = elements(document, kind.rules, Faults(keep=False))
        variables = found.version == WITH_VARIABLES
        self._json = document
        self.kind = kind
        self.text = text
        self.version: str | None = found.version
        """As written; None (no Version) has the rules of 2008-10-17."""
        self.id: str | None = found.id
        self.statements: tuple[Statement, ...] = tuple(_compiled(one, kind, variables) for one in found.statements)
        self.principals: tuple[str, ...] = tuple(
            text for one in found.statements if one.principal is not None for text in _under("AWS", one.principal)
        )
        """The texts under `AWS`, as written, in order, `*` too."""

    def canonical(self, renamed: Mapping[str, str] = _NOTHING) -> str:
        """The text as ECR gives it back: canonical order and spacing, accounts as root ARNs (policy-engine.md §1.4).

        `renamed`: what stands in place of texts under `AWS` (unique ids for ARNs, and back).
        """
        return canonical_text(_mapped(self._json, lambda text: renamed.get(text) or _as_root_arn(text)))


def parse(text: str, kind: Kind) -> Document:
    """The policy that `text` holds, compiled. Raises PolicyError, and nothing else, when it is none of that kind."""
    return Document(read(text, {}, Faults(keep=False)), kind, text)


def _compiled(one: StatementElements, kind: Kind, variables: bool) -> Statement:
    principal, action, resource = one.principal, one.action, one.resource
    service = kind.rules.granted_service if one.effect == "Allow" else None
    return Statement(
        one.number,
        one.sid,
        "Allow" if one.effect == "Allow" else "Deny",
        None if principal is None else _named(principal),
        Actions(action.texts, negated=action.negated, service=service),
        None if resource is None else Resources(resource.texts, negated=resource.negated, variables=variables),
        tuple(
            Test(test.operator, test.key, [value.text for value in test.values], variables=variables)
            for test in one.tests
        ),
    )


def _named(principal: Listed) -> Principals:
    aws, services, federated = (_under(key, principal) for key in ("AWS", "Service", "Federated"))
    return Principals(aws, services, federated, negated=principal.negated)


def _under(key: str, principal: Listed) -> list[str]:
    return [entry.text for entry in principal.entries if entry.key == key]


def _as_root_arn(principal: str) -> str:
    # [recall] the partition is not in an account id; ECR is taken to write `aws`.
    return f"arn:aws:iam::{principal}:root" if account_named(principal) == principal else principal


def _statements(document: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for element, _ in as_list(document["Statement"], ""):
        if isinstance(element, Mapping):
            yield element


def _mapped(document: Mapping[str, Json], mapping: Callable[[str], str]) -> dict[str, Json]:
    """The document with the mapping applied to the texts under `AWS`. A bare `"Principal": "*"` stays as it is."""
    statements: list[Json] = [_mapped_statement(element, mapping) for element in _statements(document)]
    one = isinstance(document["Statement"], Mapping)
    return {**document, "Statement": statements[0] if one else statements}


def _mapped_statement(element: Mapping[str, Json], mapping: Callable[[str], str]) -> dict[str, Json]:
    mapped = dict(element)
    for name in ("Principal", "NotPrincipal"):
        principal = mapped.get(name)
        if isinstance(principal, Mapping) and "AWS" in principal:
            entries = principal["AWS"]
            texts: list[Json] = [mapping(text) for text, _ in as_list(entries, "") if isinstance(text, str)]
            mapped[name] = {**principal, "AWS": texts if isinstance(entries, list) else texts[0]}
    return mapped
