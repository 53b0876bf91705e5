"""The table of Moorage's own actions is that of the code: a policy can be written about each of them."""

import re
from pathlib import Path

import moorage
from moorage.policy import ON_REPOSITORY
from moorage.policy.catalog import actions
from moorage.policy.catalog.actions import ECR_ACTIONS, MOORAGE_ACTIONS, is_on_repository, moorage_action

_SOURCE = Path(moorage.__file__).parent
_NO_ACTIONS = {"TokenName"}
"""Condition keys."""


def test_every_action_that_is_decided_on_is_in_the_table() -> None:
    written = {
        name
        for path in _SOURCE.rglob("*.py")
        if "policy" not in path.relative_to(_SOURCE).parts
        for name in re.findall(r'"moorage:([A-Z]\w+)"', path.read_text("utf-8"))
    }
    assert written - _NO_ACTIONS == MOORAGE_ACTIONS.keys()


def test_names_are_known_in_any_case() -> None:
    assert moorage_action("purge") == "Purge"
    assert moorage_action("Prge") is None
    assert is_on_repository("PURGE")
    assert not is_on_repository("Apply")
    assert not is_on_repository("")


def test_actions_on_repositories_are_ecrs_and_moorages() -> None:
    assert {"ecr:PutImage", "moorage:Purge", "moorage:ReadAccess"} <= set(ON_REPOSITORY)
    assert {"ecr:GetAuthorizationToken", "moorage:Apply"}.isdisjoint(ON_REPOSITORY)


def test_every_action_of_a_purpose_is_in_the_catalog() -> None:
    known = {f"ecr:{name}" for name in ECR_ACTIONS} | {f"moorage:{name}" for name in MOORAGE_ACTIONS}
    operations = {f"ecr:{name}" for name in actions.AUTHORIZED_BY}
    for purpose in (
        (actions.SIGN_IN,),
        actions.PULL,
        actions.PUSH,
        actions.UPLOAD,
        actions.DELETE,
        actions.ADMINISTER,
        actions.ANONYMOUS,
        actions.POLICY_RECOVERY,
        actions.BETWEEN_REGISTRIES,
    ):
        assert set(purpose) <= known
    assert {*actions.PULL_CLIENT, *actions.PUSH_CLIENT} <= known | operations


def test_an_operation_without_an_action_is_authorized_by_another() -> None:
    assert actions.authorizing_action("ListImageReferrers") == "ecr:BatchGetImage"
    assert actions.authorizing_action("PutImage") == "ecr:PutImage"
    assert actions.operation_without_action("listImageReferrers") == "ListImageReferrers"
    assert actions.operation_without_action("PutImage") is None
    assert set(actions.AUTHORIZED_BY).isdisjoint(ECR_ACTIONS)
    assert set(actions.AUTHORIZED_BY.values()) <= set(ECR_ACTIONS)


def test_the_doctor_tries_every_action_of_a_pull_and_of_a_push() -> None:
    text = (_SOURCE / "doctor" / "repository.py").read_text("utf-8")
    assert set(re.findall(r'"(ecr:\w+)"', text)) == {*actions.PULL, *actions.PUSH}
