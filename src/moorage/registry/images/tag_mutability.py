"""The rules of image tags: which may move."""

from collections.abc import Sequence


def may_move(mutability: str, filters: Sequence[str], tag: str) -> bool:
    """Whether the tag, once it stands for an image, may be made to stand for another.

    `mutability` as the API has it; with `…_WITH_EXCLUSION` the wildcard texts in `filters` (`*`: any characters) name
    the tags that are excepted.
    """
    mutable = mutability.startswith("MUTABLE")
    excepted = mutability.endswith("_WITH_EXCLUSION") and any(matches(text, tag) for text in filters)
    return mutable != excepted


def matches(wildcard: str, tag: str) -> bool:
    """Whether the whole tag fits the wildcard text. Linear, whatever a client writes."""
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
