"""The actions of ECR that an Action element covers, by name."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from moorage.policy.catalog import actions
from moorage.policy.catalog.actions import ECR_ACTIONS, ecr_action
from moorage.policy.language.elements import Listed
from moorage.policy.matching.action import Actions


def _names(given: Iterable[str]) -> tuple[str, ...]:
    """Return ECR's actions without their service prefix."""
    return tuple(action.removeprefix("ecr:") for action in given)


EVERY: Final = frozenset(ECR_ACTIONS)
ON_REPOSITORY: Final = frozenset(name for name, action in ECR_ACTIONS.items() if action.resource == "repository")
PERMISSIONS: Final = frozenset(name for name, action in ECR_ACTIONS.items() if action.level == "Permissions management")
_LONGEST: Final = 64
"""Characters of an entry whose actions are cached."""
_OFTEN: Final = 512
"""Characters of all entries of an element whose actions are cached."""
PULL: Final = _names(actions.PULL)
PUSH: Final = _names(actions.PUSH)
UPLOAD: Final = frozenset(_names(actions.UPLOAD))


def listed(entry: str) -> frozenset[str]:
    """Return the ECR actions that one entry matches."""
    return _known(entry) if len(entry) <= _LONGEST else _matched(entry)


def _matched(entry: str) -> frozenset[str]:
    service, _, name = entry.partition(":")
    if "*" not in entry and "?" not in entry:
        action = ecr_action(name) if service.lower() == "ecr" else None
        return frozenset() if action is None else frozenset({action.name})
    patterns = Actions((entry,), negated=False)
    return frozenset(name for name in ECR_ACTIONS if patterns.match(f"ecr:{name.lower()}"))


_known: Final = lru_cache(maxsize=1024)(_matched)


def covered(element: Listed) -> frozenset[str]:
    """Return the ECR actions that a whole Action or NotAction element covers."""
    texts = tuple([entry.text for entry in element.entries])
    named = (_listed_often if sum(map(len, texts)) <= _OFTEN else _listed)(texts)
    return EVERY - named if element.negated else named


def _listed(entries: tuple[str, ...]) -> frozenset[str]:
    return union(map(listed, entries))


_listed_often: Final = lru_cache(maxsize=512)(_listed)
"""Return the actions of an element. It is cached, because most policies list the same few actions."""


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return the union of the sets."""
    return frozenset().union(*sets)
