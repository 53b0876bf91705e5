"""An Action or NotAction element, compiled to be matched with actions (docs/development/policy-engine.md §2.2)."""

from collections.abc import Container, Iterable
from typing import Final

from moorage.policy.matching.wildcard import Matcher, matcher, tokens

EVERYTHING: Final = "*"


class Actions:
    """Matches actions without regard to case. `*` (and `*:*`) is every action; other entries are `service:name`, with
    wildcards in the name only.

    Nothing is trimmed or guessed: an entry of any other form matches no action.
    """

    __slots__ = ("_of_others", "entries", "everything", "names", "negated", "patterns", "service")

    def __init__(self, entries: Iterable[str], *, negated: bool, service: str | None = None) -> None:
        """`service`: the service that wildcards and NotAction refer to (`kind.Rules.granted_service`); None: every
        service."""
        self.entries = lowered = tuple([entry.lower() for entry in entries])
        self.negated = negated
        self.service = None if service is None else f"{service}:"
        self.everything = EVERYTHING in lowered
        names: list[str] = []
        patterns: dict[str, Matcher] = {}
        for entry in lowered:
            if not _is_pattern(entry):
                names.append(entry)
            elif entry not in patterns and _may_match(entry):
                patterns[entry] = matcher(tokens(entry))
        self.names = frozenset(names)
        self.patterns: tuple[Matcher, ...] = tuple(patterns.values())
        self._of_others: tuple[Matcher, ...] = ()
        if self.service is not None:
            others = [entry for entry in patterns if not entry.startswith(self.service)]
            self._of_others = tuple([patterns[entry] for entry in others if _spells_out_service(entry)])

    def lists_only(self, entries: Container[str]) -> bool:
        """Return whether the element is an Action that lists nothing but `entries` (in lower case), each literally."""
        return not self.negated and all(entry in entries for entry in self.entries)

    def match(self, action: str) -> bool:
        """Return whether the element covers `action` (in lower case, `service:name`)."""
        if self.service is not None and not action.startswith(self.service):
            spelled_out = action in self.names or any(pattern(action) for pattern in self._of_others)
            return spelled_out and not self.negated
        return self.lists(action) is not self.negated

    def lists(self, action: str) -> bool:
        """Return whether an entry matches `action` (in lower case), whether the element is Action or NotAction."""
        if self.everything or action in self.names:
            return True
        for pattern in self.patterns:  # noqa: SIM110 - a generator costs more than the comparison
            if pattern(action):
                return True
        return False


def _is_pattern(entry: str) -> bool:
    return "*" in entry or "?" in entry


def _may_match(entry: str) -> bool:
    """Return whether the pattern can match an action.

    AWS documents no wildcard in the service, and IAM refuses one ("Action vendors must not contain wildcards"), so such
    an entry matches nothing. `*:*` is read as `*`.
    """
    service, colon, name = entry.partition(":")
    if _is_pattern(service):
        return service == EVERYTHING and bool(name) and not name.strip(EVERYTHING)
    return bool(colon and name)


def _spells_out_service(entry: str) -> bool:
    service, colon, name = entry.partition(":")
    return bool(colon and name) and not _is_pattern(service)
