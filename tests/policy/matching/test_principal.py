"""The texts that name a principal (docs/development/policy-engine.md §2.4); whom they match is in the corpus."""

import pytest

from moorage.policy import account_named, is_aws_principal, is_unique_id
from moorage.policy.matching.principal import is_service_principal
from tests.policy.build import OWNER


@pytest.mark.parametrize(
    ("text", "account"),
    [
        (OWNER, OWNER),
        (f"arn:aws:iam::{OWNER}:root", OWNER),
        (f"arn:aws-us-gov:iam::{OWNER}:root", OWNER),
        (f"arn:aws:iam::{OWNER}:user/root", None),
        (f"arn:aws:iam::{OWNER}:root/", None),
        (OWNER[1:], None),
        (f"{OWNER}\n", None),
        ("*", None),
    ],
)
def test_account_named(text: str, account: str | None) -> None:
    assert account_named(text) == account


ENTITIES = [
    f"arn:aws:iam::{OWNER}:user/alice",
    f"arn:aws:iam::{OWNER}:user/a/b/alice",
    f"arn:aws:iam::{OWNER}:role/aws-service-role/ecr/Role_With+=,.@-",
    f"arn:aws-cn:sts::{OWNER}:assumed-role/builder/ci@home",
    f"arn:aws:sts::{OWNER}:federated-user/bob",
]
IDS = ["AIDAABCDEFGHIJKLMNOPQ", "AROAABCDEFGHIJKLMNOPQ", "AIDA000000000000"]


def test_is_aws_principal() -> None:
    assert all(is_aws_principal(text) for text in ["*", OWNER, f"arn:aws:iam::{OWNER}:root", *ENTITIES, *IDS])
    for text in ["", "**", "alice", f"{ENTITIES[0]}\n", f"{ENTITIES[0]}/", "AIDA00000000000", f"{IDS[0]}a"]:
        assert not is_aws_principal(text)


def test_is_unique_id() -> None:
    assert all(is_unique_id(text) for text in IDS)
    for text in ["AGPAABCDEFGHIJKLMNOPQ", "AIDA", OWNER, "*", "aidaabcdefghijklmnopq", f"{IDS[0]}\n"]:
        assert not is_unique_id(text)


def test_is_service_principal() -> None:
    assert is_service_principal("replication.ecr.amazonaws.com")
    for text in ["", "ecr", ".com", "a..b", "a b.com", "*.amazonaws.com", "a.com\n"]:
        assert not is_service_principal(text)
