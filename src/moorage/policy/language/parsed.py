"""A text, parsed once as a policy: what compiling, the canonical form and lint start from."""

from collections.abc import Mapping, Sequence
from typing import Final

from moorage.policy.language.canonical import Json
from moorage.policy.language.document import Document, canonical
from moorage.policy.language.elements import PolicyElements, elements
from moorage.policy.language.json_reader import Places, read, read_quickly
from moorage.policy.language.kind import Kind
from moorage.policy.language.template import Template
from moorage.policy.matching.errors import ErrorCollector, PolicyError

_UNREAD: Final = PolicyElements(None, None, ())


class Parsed:
    """The elements of a text as a policy of a kind, and what is wrong with it."""

    __slots__ = ("_document", "_places", "complete", "elements", "errors", "kind", "members", "templates", "text")

    def __init__(
        self,
        text: str,
        kind: Kind,
        members: Mapping[str, Json],
        found: PolicyElements,
        errors: Sequence[PolicyError],
        places: Places | None,
        *,
        complete: bool = True,
        templates: Sequence[Template | None] = (),
    ) -> None:
        """`parsed` creates it. `places` None: not computed yet."""
        self.text: Final = text
        self.kind: Final = kind
        self.members: Final = members
        """The JSON object; empty if the text is not valid JSON."""
        self.elements: Final = found
        """The elements that are valid."""
        self.errors: Final = tuple(errors)
        """The errors in the order in which they were found. None: it is a valid policy of that kind."""
        self.complete: Final = complete
        """Whether it was read to its end; otherwise the last error ended it."""
        self.templates: Final = templates
        """The templates of the statements that have one."""
        self._places = places
        self._document: Document | None = None

    @property
    def places(self) -> Places:
        """The place of every value of the JSON, as far as it could be read."""
        if self._places is None:
            self._places = {}
            read(self.text, self._places, ErrorCollector(keep=False))
        return self._places

    def document(self) -> Document:
        """Return the compiled policy. Raise the first error as a PolicyError."""
        if self._document is None:
            if self.errors:
                raise self.errors[0].again()
            self._document = Document(self.elements, self.kind, self.text, self.templates)
        return self._document

    def canonical(self, renamed: Mapping[str, str]) -> str:
        """Return the same as `Document.canonical`, for a valid text."""
        return canonical(self.members, renamed, self.templates)


def parsed(text: str, kind: Kind) -> Parsed:
    """Parse `text` as a policy of `kind`. Never raise.

    Every check of the grammar is implemented once, for all purposes.
    """
    members = read_quickly(text)
    if members is not None:
        templates: list[Template | None] = []
        by_template = templates if kind is Kind.REPOSITORY else None
        try:
            found = elements(members, kind.rules, ErrorCollector(keep=False), by_template)
            return Parsed(text, kind, members, found, (), None, templates=templates)
        except PolicyError:
            pass
    return _parsed_strictly(text, kind)


def _parsed_strictly(text: str, kind: Kind) -> Parsed:
    """Return the text with every error and its place."""
    places: Places = {}
    errors = ErrorCollector(keep=True)
    members: Mapping[str, Json] = {}
    found = _UNREAD
    try:
        members = read(text, places, errors)
        found = elements(members, kind.rules, errors)
    except PolicyError as error:
        found_all = (*errors.found, error.with_traceback(None))
        return Parsed(text, kind, members, _UNREAD, found_all, places, complete=False)
    return Parsed(text, kind, members, found, errors.found, places)


def parse(text: str, kind: Kind) -> Document:
    """Return the policy in `text`, compiled. Raise PolicyError (only) if it is not a policy of that kind."""
    return parsed(text, kind).document()
