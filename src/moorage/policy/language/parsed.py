"""A text, read once as a policy: what its parsing, its canonical form and lint start from."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.policy.language.canonical import Json
from moorage.policy.language.document import Document, canonical
from moorage.policy.language.elements import PolicyElements, elements
from moorage.policy.language.json_reader import Places, read, read_quickly
from moorage.policy.language.kind import Kind
from moorage.policy.language.template import Template
from moorage.policy.matching.errors import Faults, PolicyError

_UNREAD: Final = PolicyElements(None, None, ())


class Parsed:
    """The elements of a text as a policy of a kind, and what is wrong with it."""

    __slots__ = ("_document", "_places", "complete", "elements", "faults", "kind", "members", "templates", "text")

    def __init__(
        self,
        text: str,
        kind: Kind,
        members: Mapping[str, Json],
        found: PolicyElements,
        faults: Sequence[PolicyError],
        places: Places | None,
        *,
        complete: bool = True,
        templates: Sequence[Template | None] = (),
    ) -> None:
        """Made by `parsed`. `places` None: not known yet."""
        self.text: Final = text
        self.kind: Final = kind
        self.members: Final = members
        """Its JSON; empty when it is none."""
        self.elements: Final = found
        """Without what is at fault."""
        self.faults: Final = tuple(faults)
        """In the order in which they were found. None: it is a policy of that kind."""
        self.complete: Final = complete
        """Whether it was read to its end; else the last fault ended it."""
        self.templates: Final = templates
        """Those of the statements, as far as they have any."""
        self._places = places
        self._document: Document | None = None

    @property
    def places(self) -> Places:
        """Where every value of the JSON stands, as far as it could be read."""
        if self._places is None:
            self._places = {}
            read(self.text, self._places, Faults(keep=False))
        return self._places

    def document(self) -> Document:
        """The policy, compiled. Raises the first fault as a PolicyError."""
        if self._document is None:
            if self.faults:
                raise self.faults[0].again()
            self._document = Document(self.elements, self.kind, self.text, self.templates)
        return self._document

    def canonical(self, renamed: Mapping[str, str]) -> str:
        """As `Document.canonical`, of a text without a fault."""
        return canonical(self.members, renamed, self.templates)


def parsed(text: str, kind: Kind) -> Parsed:
    """What `text` says as a policy of `kind`. Never raises.

    Every check of the grammar is made once, by the same functions for every purpose.
    """
    members = read_quickly(text)
    if members is not None:
        templates: list[Template | None] = []
        by_template = templates if kind is Kind.REPOSITORY else None
        try:
            found = elements(members, kind.rules, Faults(keep=False), by_template)
            return Parsed(text, kind, members, found, (), None, templates=templates)
        except PolicyError:
            pass
    return _parsed_strictly(text, kind)


def _parsed_strictly(text: str, kind: Kind) -> Parsed:
    """Every fault, each with its place."""
    places: Places = {}
    faults = Faults(keep=True)
    members: Mapping[str, Json] = {}
    found = _UNREAD
    try:
        members = read(text, places, faults)
        found = elements(members, kind.rules, faults)
    except PolicyError as error:
        found_all = (*faults.found, error.with_traceback(None))
        return Parsed(text, kind, members, _UNREAD, found_all, places, complete=False)
    return Parsed(text, kind, members, found, faults.found, places)


def parse(text: str, kind: Kind) -> Document:
    """The policy that `text` holds, compiled. Raises PolicyError, and nothing else, when it is none of that kind."""
    return parsed(text, kind).document()
