"""The table of Moorage's own actions is that of the code: a policy can be written about each of them."""

import re
from pathlib import Path

import moorage
from moorage.policy import ON_REPOSITORY
from moorage.policy.catalog.actions import MOORAGE_ACTIONS, is_on_repository, moorage_action

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
