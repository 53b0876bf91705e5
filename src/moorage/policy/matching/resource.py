"""A Resource or NotResource element, compiled to be matched with ARNs (docs/development/policy-engine.md §2.5)."""

from collections.abc import Iterable
from typing import Final

from moorage.policy.matching.arn import PARTS, arn_matcher, has_wildcard_in_type, is_arn
from moorage.policy.matching.variables import Context, Template
from moorage.policy.matching.wildcard import Matcher, Token, Wild, matcher, matches_everything, tokens

NO_RESOURCE: Final = "*"
"""The resource of a request whose action has no resource type. Only a pattern of stars matches it."""


class Resources:
    """Case-sensitive ARN patterns, with variables only after the fifth colon.

    An ARN with a wildcard in its resource type (`…:*/app`) matches nothing: AWS does not allow it ("Incorrect wildcard
    usage" on its page about ARNs).
    """

    __slots__ = ("_simple", "everything", "exact", "moving", "negated", "patterns", "prefixes", "reads")

    def __init__(self, entries: Iterable[str], *, negated: bool, variables: bool) -> None:
        self.negated = negated
        self.everything = False
        exact: list[str] = []
        prefixes: list[str] = []
        patterns: list[Matcher] = []
        moving: list[_PatternWithVariables] = []
        for entry in entries:
            if matches_everything(tokens(entry)):
                self.everything = True
                continue
            start = entry.rstrip("*")
            if is_arn(start) and not (variables and "${" in start) and "*" not in start and "?" not in start:
                (exact if start == entry else prefixes).append(start)
                continue
            parts = entry.split(":", PARTS - 1)
            if len(parts) == PARTS and has_wildcard_in_type(parts[2], parts[-1], variables=variables):
                continue
            last = Template(parts[-1], variables=variables and len(parts) == PARTS, wildcards=True)
            head = [tokens(part) for part in parts[:-1]]
            if last.fixed is None:
                moving.append(_PatternWithVariables(head, last))
            else:
                # Some identity policies omit the last parts; AWS reads them as stars.
                padding = [(Wild.ANY,)] * (PARTS - len(parts)) if parts[0] == "arn" else []
                patterns.append(arn_matcher([*head, last.fixed, *padding]))
        self.exact = frozenset(exact)
        self.prefixes = tuple(prefixes)
        self.patterns = tuple(patterns)
        """Entries that are neither exact names nor prefixes, and have no variables."""
        self.moving = tuple(moving)
        self.reads = tuple(key for entry in moving for key in entry.reads)
        """The condition keys of its variables."""
        self._simple: Final = not (self.everything or patterns or moving)

    @property
    def covers_everything(self) -> bool:
        """Whether it matches every resource."""
        return self.everything and not self.negated

    def match(self, resource: str, context: Context, allow: bool) -> bool:
        """Return whether the element covers `resource` (an ARN or `*`).

        `allow`: the effect of the statement. A NotResource entry whose variable has no value excludes nothing, but must
        not grant anything either: an Allow then does not match, while a Deny does.
        """
        if resource in self.exact or resource.startswith(self.prefixes):
            return not self.negated
        if self._simple:
            return self.negated
        return self._other_match(resource, context, allow)

    def _other_match(self, resource: str, context: Context, allow: bool) -> bool:
        """Return the result if no exact name and no prefix matches."""
        if self.everything or any(matches(resource) for matches in self.patterns):
            return not self.negated
        found = [entry.match(resource, context) for entry in self.moving]
        if True in found:
            return not self.negated
        if None in found and self.negated:
            return not allow
        return self.negated


class _PatternWithVariables:
    """One entry with a variable in its last part."""

    __slots__ = ("_head", "_last", "reads")

    def __init__(self, head: list[tuple[Token, ...]], last: Template) -> None:
        self._head = arn_matcher([*head, (Wild.ANY,)])
        self._last = last
        self.reads = last.reads

    def match(self, resource: str, context: Context) -> bool | None:
        last = self._last.resolve(context)
        if last is None:
            return None
        return self._head(resource) and matcher(last)(resource.split(":", PARTS - 1)[-1])
