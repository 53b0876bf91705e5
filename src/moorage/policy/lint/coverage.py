"""Which of ECR's actions an Action element covers, by name."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from moorage.policy.action import Actions
from moorage.policy.actions import ECR_ACTIONS, ecr_action
from moorage.policy.elements import Listed

EVERY: Final = frozenset(ECR_ACTIONS)
ON_REPOSITORY: Final = frozenset(name for name, action in ECR_ACTIONS.items() if action.resource == "repository")
PERMISSIONS: Final = frozenset(name for name, action in ECR_ACTIONS.items() if action.level == "Permissions management")
PULL: Final = ("BatchGetImage", "GetDownloadUrlForLayer")
PUSH: Final = (
    "BatchCheckLayerAvailability",
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "PutImage",
)


@lru_cache(maxsize=2048)
def listed(entry: str) -> frozenset[str]:
    """The ECR actions that one entry matches."""
    service, _, name = entry.partition(":")
    if "*" not in entry and "?" not in entry:
        action = ecr_action(name) if service.lower() == "ecr" else None
        return frozenset() if action is None else frozenset({action.name})
    actions = Actions((entry,), negated=False)
    return frozenset(name for name in ECR_ACTIONS if actions.match(f"ecr:{name.lower()}"))


def covered(element: Listed) -> frozenset[str]:
    """The ECR actions that a whole Action or NotAction element stands for."""
    named = union(listed(entry.text) for entry in element.entries)
    return EVERY - named if element.negated else named


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """All that is in any of them."""
    return frozenset().union(*sets)
