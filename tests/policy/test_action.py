"""What an Action element lists; which actions it covers is in the corpus (actions.yaml)."""

import pytest

from moorage.policy.action import Actions

KNOWN = {"ecr:replicateimage", "ecr:createrepository"}


@pytest.mark.parametrize(
    ("entries", "negated", "only"),
    [
        (["ecr:ReplicateImage"], False, True),
        (["ecr:ReplicateImage", "ECR:CREATEREPOSITORY"], False, True),
        (["ecr:ReplicateImage", "ecr:PutImage"], False, False),
        (["ecr:Replicate*"], False, False),
        (["*"], False, False),
        (["ecr:ReplicateImage"], True, False),
        (["ecr:PutImage"], True, False),
    ],
)
def test_whether_nothing_but_what_is_known_is_listed(entries: list[str], negated: bool, only: bool) -> None:
    assert Actions(entries, negated=negated).lists_only(KNOWN) is only
