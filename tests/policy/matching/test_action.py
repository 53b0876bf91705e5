"""What an Action element lists; which actions it covers is in the corpus (actions.yaml)."""

import pytest

from moorage.policy.matching.action import Actions

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


@pytest.mark.parametrize(
    ("entries", "negated", "action", "covered"),
    [
        (["*"], False, "moorage:purge", False),
        (["*:*"], False, "moorage:purge", False),
        (["*:Purge"], False, "moorage:purge", False),
        (["m*:*"], False, "moorage:purge", False),
        (["?oorage:Purge"], False, "moorage:purge", False),
        (["moorage:"], False, "moorage:purge", False),
        (["moorage"], False, "moorage:purge", False),
        (["ecr:*"], False, "moorage:purge", False),
        (["ecr:PutImage"], True, "moorage:purge", False),
        (["moorage:Restore"], True, "moorage:purge", False),
        (["s3:*", "moorage:Purge"], True, "moorage:purge", False),
        (["Moorage:Purge"], False, "moorage:purge", True),
        (["*", "moorage:P*"], False, "moorage:purge", True),
        (["moorage:?urge"], False, "moorage:purge", True),
        (["moorage:P*"], False, "moorage:restore", False),
        (["*"], False, "ecr:putimage", True),
        (["*:*"], False, "ecr:putimage", True),
        (["*:PutImage"], False, "ecr:putimage", False),
        (["moorage:*"], False, "ecr:putimage", False),
        (["moorage:*"], True, "ecr:putimage", True),
        (["*"], True, "ecr:putimage", False),
        (["*"], False, "ecrx:putimage", False),
    ],
)
def test_wildcards_and_not_action_stand_for_one_service(
    entries: list[str], negated: bool, action: str, covered: bool
) -> None:
    assert Actions(entries, negated=negated, service="ecr").match(action) is covered
