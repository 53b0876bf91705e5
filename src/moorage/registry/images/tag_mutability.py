"""Which image tags may be moved to another image."""

from collections.abc import Sequence


def may_move(mutability: str, filters: Sequence[str], tag: str) -> bool:
    """Return whether a tag that points at an image may be pointed at another one.

    `mutability` is the mode as the ECR API has it. With a `_WITH_EXCLUSION` mode, the wildcard texts in `filters` (`*`
    stands for any characters) name the tags that are excepted.
    """
    mutable = mutability.startswith("MUTABLE")
    excepted = mutability.endswith("_WITH_EXCLUSION") and any(matches(text, tag) for text in filters)
    return mutable != excepted


def matches(wildcard: str, tag: str) -> bool:
    """Return whether the whole tag matches the wildcard text. The time is linear for any text."""
    first, *others = wildcard.split("*")
    if not others:
        return tag == first
    last = others.pop()
    if len(tag) < len(first) + len(last) or not (tag.startswith(first) and tag.endswith(last)):
        return False
    position = len(first)
    for part in others:
        found = tag.find(part, position, len(tag) - len(last))
        if found < 0:
            return False
        position = found + len(part)
    return True
