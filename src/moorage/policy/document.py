"""A policy document: parsed, checked against its kind, compiled; and its canonical text."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from moorage.policy.canonical import ELEMENTS, Json, canonical_text
from moorage.policy.elements import statement
from moorage.policy.fault import PolicyError
from moorage.policy.kind import Kind
from moorage.policy.principal import account_named
from moorage.policy.reading import as_list, as_text, member, read
from moorage.policy.statement import Statement

VERSIONS: Final = ("2008-10-17", "2012-10-17")
_WITH_VARIABLES: Final = "2012-10-17"


class Document:
    """A valid policy. Made by `parse`; never changes."""

    __slots__ = ("_json", "id", "kind", "statements", "text", "version")

    def __init__(self, document: Mapping[str, Json], kind: Kind, text: str) -> None:
        """Raises PolicyError when `document` is not a policy of that kind. `text` is what it was read from."""
        self._json = document
        self.kind = kind
        self.text = text
        self.version: str | None = None
        """As written; None (no Version) has the rules of 2008-10-17."""
        self.id: str | None = None
        self.statements: tuple[Statement, ...] = ()
        self._check()

    def _check(self) -> None:
        document = self._json
        for key in document:
            if key not in ELEMENTS:
                raise PolicyError(f"the policy element {key} is not valid", member("", key))
        if "Version" in document:
            self.version = as_text(document["Version"], "/Version")
            if self.version not in VERSIONS:
                raise PolicyError(f"the version is not one of {', '.join(VERSIONS)}", "/Version")
        if "Id" in document:
            self.id = as_text(document["Id"], "/Id")
        if "Statement" not in document:
            raise PolicyError("the policy has no Statement")
        elements = as_list(document["Statement"], "/Statement")
        if not elements:
            raise PolicyError("must not be empty", "/Statement")
        rules, variables = self.kind.rules, self.version == _WITH_VARIABLES
        self.statements = tuple(
            statement(index, element, at, rules, variables=variables) for index, (element, at) in enumerate(elements)
        )
        if rules.plain_sids:
            sids = [one.sid for one in self.statements if one.sid]
            if len(set(sids)) != len(sids):
                raise PolicyError("statement ids must be unique", "/Statement")

    def canonical(self) -> str:
        """The text as ECR gives it back: canonical order and spacing, accounts as root ARNs (policy-engine.md §1.4)."""
        return canonical_text(_mapped(self._json, _as_root_arn))

    def principals(self) -> list[str]:
        """The texts under `AWS`, as written, in order, `*` too."""
        return [text for element in _principal_elements(self._json) for text in _aws_texts(element)]

    def with_principals(self, mapping: Callable[[str], str]) -> "Document":
        """The document with every text under `AWS` put through `mapping` (ARNs to unique ids and back).

        Raises PolicyError when the result is no policy. `text` of the result is its canonical text.
        """
        document = _mapped(self._json, mapping)
        return Document(document, self.kind, canonical_text(document))


def parse(text: str, kind: Kind) -> Document:
    """The policy that `text` holds, compiled. Raises PolicyError, and nothing else, when it is none of that kind."""
    return Document(read(text), kind, text)


def _as_root_arn(principal: str) -> str:
    # [recall] the partition is not in an account id; ECR is taken to write `aws`.
    return f"arn:aws:iam::{principal}:root" if account_named(principal) == principal else principal


def _statements(document: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for element, _ in as_list(document["Statement"], ""):
        if isinstance(element, Mapping):
            yield element


def _principal_elements(document: Mapping[str, Json]) -> Iterator[Json]:
    for element in _statements(document):
        for name in ("Principal", "NotPrincipal"):
            if name in element:
                yield element[name]


def _aws_texts(element: Json) -> list[str]:
    if isinstance(element, str):
        return [element]
    entries = element.get("AWS", []) if isinstance(element, Mapping) else []
    return [text for text, _ in as_list(entries, "") if isinstance(text, str)]


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
            texts: list[Json] = [mapping(text) for text in _aws_texts(principal)]
            mapped[name] = {**principal, "AWS": texts if isinstance(entries, list) else texts[0]}
    return mapped
