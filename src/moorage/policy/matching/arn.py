"""ARN patterns: six parts, each a wildcard pattern of its own, so that a star never matches a colon between parts.

Only the last part (the resource) may contain colons and slashes (docs/development/policy-engine.md §2.5, §3.2).
"""

import re
from collections.abc import Sequence
from typing import Final

from moorage.policy.matching.wildcard import (
    Matcher,
    Runs,
    Token,
    Wild,
    has_question_mark,
    matcher,
    matcher_of_any,
    matches_everything,
)

PARTS: Final = 6
_TYPE: Final = re.compile(r"[^/:]*(?=[/:])")
_WITHOUT_TYPES: Final = frozenset({"execute-api", "s3", "sns", "sqs"})
"""Services whose ARNs begin their last part with a name."""
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")


def split(pattern: Sequence[Token]) -> list[list[Token]]:
    """Return the tokens of a pattern, cut at the first five colons of its literal text. There are fewer than six parts
    if it has fewer colons."""
    parts: list[list[Token]] = [[]]
    for token in pattern:
        if isinstance(token, Wild):
            parts[-1].append(token)
            continue
        head, *rest = token.split(":", PARTS - len(parts))
        for piece in (head, *rest):
            if piece:
                parts[-1].append(piece)
            parts.append([])
        parts.pop()
    return parts


def has_wildcard_in_type(service: str, resource: str, *, variables: bool) -> bool:
    """Return whether a wildcard is in the resource type of an ARN pattern, as in `*/app`.

    `resource`: its last part. The type is what comes before the first slash or colon, outside of policy variables if it
    has `variables`. A resource without either has no type (`*`, `app*`), nor have the resources of some services
    (`bucket/key` of S3).
    """
    if service in _WITHOUT_TYPES:
        return False
    kind = _TYPE.match(_VARIABLE.sub("", resource) if variables else resource)
    return kind is not None and ("*" in kind[0] or "?" in kind[0])


def is_arn(text: str) -> bool:
    """Return whether the text has the six parts of an ARN."""
    return text.count(":") >= PARTS - 1


def arn_matcher(parts: Sequence[Sequence[Token]]) -> Matcher:
    """Return a function that matches a whole ARN with six part patterns. A text that is not an ARN does not match."""
    if len(parts) != PARTS:
        return _never
    if any(map(has_question_mark, parts)):
        return matcher_of_any([arn_runs(parts)])
    if not any(isinstance(token, Wild) for part in parts[:-1] for token in part):
        prefix = ":".join("".join(str(token) for token in part) for part in parts[:-1]) + ":"
        return matcher([prefix, *parts[-1]])
    # The last part differs most between ARNs, so it is compared first; a part that is only a star is not compared.
    segments = tuple(
        (place, matcher(parts[place])) for place in reversed(range(PARTS)) if not matches_everything(parts[place])
    )

    def match(text: str) -> bool:
        values = text.split(":", PARTS - 1)
        if len(values) != PARTS:
            return False
        for place, matches in segments:  # noqa: SIM110 - a generator takes longer than what it would ask
            if not matches(values[place]):
                return False
        return True

    return match


def arn_runs(parts: Sequence[Sequence[Token]]) -> Runs:
    """Return the same six part patterns for `matcher_of_any`."""
    runs: list[tuple[Sequence[Token], bool]] = []
    for part in parts[:-1]:
        runs += [(part, True), ((":",), False)]
    return [*runs, (parts[-1], False)]


def _never(_text: str) -> bool:
    return False
