"""What a Resource or NotResource element lists, ready to be compared (policy-engine.md §2.5)."""

from collections.abc import Iterable
from typing import Final

from moorage.policy.arn import PARTS, arn_matcher
from moorage.policy.variables import Context, Template
from moorage.policy.wildcard import Matcher, Token, Wild, matcher, matches_everything, tokens

NO_RESOURCE: Final = "*"
"""The resource of a request whose action has no resource type; only a pattern of stars matches it."""


class Resources:
    """Case-sensitive ARN patterns; variables only after the fifth colon."""

    __slots__ = ("everything", "fixed", "moving", "negated")

    def __init__(self, entries: Iterable[str], *, negated: bool, variables: bool) -> None:
        self.negated = negated
        self.everything = False
        fixed: list[Matcher] = []
        moving: list[_Moving] = []
        for entry in entries:
            if matches_everything(tokens(entry)):
                self.everything = True
                continue
            parts = entry.split(":", PARTS - 1)
            last = Template(parts[-1], variables=variables and len(parts) == PARTS, wildcards=True)
            head = [tokens(part) for part in parts[:-1]]
            if last.fixed is None:
                moving.append(_Moving(head, last))
            else:
                # Identity policies are seen with the last parts left out; AWS reads stars there.
                padding = [(Wild.ANY,)] * (PARTS - len(parts)) if parts[0] == "arn" else []
                fixed.append(arn_matcher([*head, last.fixed, *padding]))
        self.fixed = tuple(fixed)
        self.moving = tuple(moving)

    def match(self, resource: str, context: Context, *, allow: bool) -> bool:
        """Whether the element covers `resource` (an ARN or `*`).

        `allow`: the statement's effect. A NotResource entry whose variable has no value excludes nothing, but must not
        grant either, so an Allow then does not match while a Deny does.
        """
        if not self.negated:
            return self.everything or self._listed(resource, context) is True
        if self.everything:
            return False
        listed = self._listed(resource, context)
        return not allow if listed is None else not listed

    def _listed(self, resource: str, context: Context) -> bool | None:
        """Whether an entry matches; None when none does and some variable had no value."""
        for matches in self.fixed:
            if matches(resource):
                return True
        unresolved = False
        for entry in self.moving:
            matched = entry.match(resource, context)
            if matched:
                return True
            unresolved = unresolved or matched is None
        return None if unresolved else False


class _Moving:
    """One entry with a variable in its last part."""

    __slots__ = ("_head", "_last")

    def __init__(self, head: list[tuple[Token, ...]], last: Template) -> None:
        self._head = arn_matcher([*head, (Wild.ANY,)])
        self._last = last

    def match(self, resource: str, context: Context) -> bool | None:
        last = self._last.resolve(context)
        if last is None:
            return None
        return self._head(resource) and matcher(last)(resource.split(":", PARTS - 1)[-1])
