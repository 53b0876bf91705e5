"""What the rules of lint look at: the text and elements of a policy, and how to point at them and edit them."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import zip_longest
from typing import Final

from moorage.policy.language.canonical import Json
from moorage.policy.language.elements import Listed
from moorage.policy.language.json_reader import Place, Places, as_list, member
from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import Parsed
from moorage.policy.lint.codes import CODES
from moorage.policy.lint.finding import Edit, Finding, Fix, Lines

ATTACHED: Final = frozenset({Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.SCP})
"""Kinds that are attached to the principals they apply to."""
OF_ECR: Final = frozenset({Kind.REPOSITORY, Kind.REGISTRY})

_SUGGESTIONS: Final = 20
"""Searches for similar names in a document; each compares with about sixty names."""
_SHOWN: Final = 80
_SPACE: Final = re.compile(r"\s*")


class Subject:
    """A policy to lint.

    `statements`: all, without what is not valid in them; `sound`: those without an error, which alone allow conclusions
    about what is missing. `account` (12 digits): the owner of the resource; None: not known.
    """

    def __init__(self, policy: Parsed, account: str | None) -> None:
        self.policy = policy
        self.text = policy.text
        self.kind = policy.kind
        self.document = policy.members
        self.version = policy.elements.version
        self.statements = policy.elements.statements
        self.account = account
        self.all_sound = not policy.errors
        self.sound = self.statements
        if policy.errors:
            unsound = {at for error in policy.errors for at in statements_of(error.pointer)}
            self.sound = tuple(one for one in self.statements if one.at not in unsound)
        self.unsettled: Final = tuple(
            [
                one
                for one, template in zip_longest(self.statements, policy.templates)
                if template is None or not template.silent
            ]
        )
        """Return the statements without those whose templates are known to have no findings."""
        self._suggestions = _SUGGESTIONS

    @cached_property
    def places(self) -> Places:
        """The place of every value."""
        return self.policy.places

    @cached_property
    def json(self) -> list[Json]:
        """The JSON of the statements."""
        return [item for item, _ in as_list(self.document.get("Statement", []), "")]

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.text)

    def finding(
        self, code: str, at: str, message: str, fix: Fix | None = None, *, key: bool = False, offset: int | None = None
    ) -> Finding:
        """Return a finding on the value at the pointer `at`, on its key, or on the one character at `offset`."""
        place = self.places.get(at) or self.places.get("", Place(0, len(self.text), 0))
        start, end = place.start, place.end
        if offset is not None:
            start, end = offset, min(offset + 1, len(self.text))
        elif key and place.key != place.start:
            start, end = place.key, self._key_end(place)
        return Finding(
            code,
            message,
            at,
            self._lines.position(start),
            self._lines.position(end),
            fix or Fix(CODES[code].fix),
        )

    def value(self, at: str) -> Json:
        """Return the JSON at a pointer that exists in the document."""
        value: Json = self.document
        for part in at.split("/")[1:]:
            if isinstance(value, Mapping):
                value = value[part.replace("~1", "/").replace("~0", "~")]
            elif isinstance(value, list):
                value = value[int(part)]
        return value

    def replaced(self, at: str, value: object) -> Edit:
        """Return the edit that replaces the value at `at` with the JSON of `value`."""
        place = self.places[at]
        return Edit(place.start, place.end, _json(value))

    def renamed(self, at: str, key: str) -> Edit | None:
        """Return the edit that renames the key of the member at `at`; None if a sibling has that name."""
        place = self.places[at]
        if member(at.rpartition("/")[0], key) in self.places or place.key == place.start:
            return None
        return Edit(place.key, self._key_end(place), _json(key))

    def removed(self, at: str) -> Edit:
        """Return the edit that removes the member or item at `at`, with its comma."""
        place, text = self.places[at], self.text
        after = _past_space(text, place.end)
        if text[after : after + 1] == ",":
            return Edit(place.key, _past_space(text, after + 1), "")
        before = place.key
        while text[before - 1].isspace():
            before -= 1
        return Edit(before - 1 if text[before - 1] == "," else place.key, place.end, "")

    def among_others(self, at: str) -> bool:
        """Return whether the value at `at` is one of several items of an array, so that it can be removed."""
        parent = self.value(at.rpartition("/")[0])
        return isinstance(parent, list) and len(parent) > 1

    def added(self, listed: Listed, texts: Iterable[str]) -> Edit:
        """Return the edit that adds texts to the array of an element; a single text becomes an array."""
        place, text = self.places[listed.at], self.text
        more = [_json(one) for one in texts]
        if text[place.start] != "[":
            return Edit(place.start, place.end, f"[{', '.join([text[place.start : place.end], *more])}]")
        last = self.places[listed.entries[-1].at]
        gap = text[place.start + 1 : _past_space(text, place.start + 1)] if len(listed.entries) > 1 else ""
        space = gap if "\n" in gap else " "
        return Edit(last.end, last.end, "".join(f",{space}{one}" for one in more))

    def _key_end(self, place: Place) -> int:
        return place.key + len(self.text[place.key : place.start].rstrip().removesuffix(":").rstrip())

    def suggestion(self, word: str, known: Iterable[str]) -> str | None:
        """Return the name in `known` that `word` may be a misspelling of; None if none is similar, or after too many
        searches."""
        if self._suggestions <= 0 or len(word) > _SHOWN:
            return None
        self._suggestions -= 1
        by_lower = {one.lower(): one for one in known}
        near = difflib.get_close_matches(word.strip().lower(), by_lower, n=1, cutoff=0.7)
        return by_lower[near[0]] if near else None


def statements_of(pointer: str) -> Iterator[str]:
    """Return the statements that the pointer of an error may be in: those of an array, or the single one."""
    parts = pointer.split("/", 3)
    if len(parts) > 1 and parts[1] == "Statement":
        yield "/Statement"
        if len(parts) > 2:
            yield f"/Statement/{parts[2]}"


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def shown(text: str, most: int = _SHOWN) -> str:
    """Return a text of the policy as messages quote it: cut if it is long, with control characters as escapes."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in cut
    )
