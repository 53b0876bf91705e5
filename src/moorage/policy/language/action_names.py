"""Which actions a policy may name, by the kind of policy (docs/development/policy-engine.md §1.2).

Repository and registry policies name actions of ECR. They may also name Moorage's own actions on repositories, which
ECR does not know.
"""

import re
from typing import Final

from moorage.policy.catalog.actions import (
    MOORAGE,
    ecr_action,
    is_on_repository,
    may_stand_in_registry_policy,
    may_stand_in_repository_policy,
    moorage_action,
)
from moorage.policy.catalog.services import is_service
from moorage.policy.language.kind import Scope
from moorage.policy.matching.action import EVERYTHING
from moorage.policy.matching.errors import PolicyError

_PATTERN: Final = re.compile(r"[A-Za-z*?]+")


def check_action(text: str, at: str, scope: Scope) -> None:
    """Raise PolicyError, with the pointer `at`, unless a policy of that scope may name the action `text`."""
    if text == EVERYTHING:
        return
    service, colon, name = text.partition(":")
    if not colon or not service:
        raise PolicyError("INVALID_ACTION", f"an action is * or service:name, not {text}", at)
    if scope is Scope.ANY:
        return
    if service.lower() not in {"ecr", MOORAGE}:
        code = "UNSUPPORTED_ACTION_IN_POLICY" if is_service(service) else "INVALID_SERVICE_IN_ACTION"
        raise PolicyError(code, f"the action {text} is not ECR's", at)
    if ("*" in name or "?" in name) and _PATTERN.fullmatch(name):
        return
    if service.lower() == MOORAGE:
        is_allowed, exists = is_on_repository(name), moorage_action(name) is not None
    else:
        may_stand = may_stand_in_repository_policy if scope is Scope.REPOSITORY else may_stand_in_registry_policy
        is_allowed, exists = may_stand(name), ecr_action(name) is not None
    if not is_allowed:
        code = "UNSUPPORTED_ACTION_IN_POLICY" if exists else "INVALID_ACTION"
        raise PolicyError(code, f"the action {text} is not among the {scope.value}", at)
