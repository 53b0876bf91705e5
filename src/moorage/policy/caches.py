"""The functions of the engine that cache their results, each with the most bytes of one result.

They are pure, and cache the results of short texts only. The application shows their sizes in its metrics.
"""

from collections.abc import Mapping
from typing import Any, Final

from moorage.policy.language import template
from moorage.policy.lint import coverage
from moorage.policy.matching import conditions, operators, principal

REMEMBERED: Final[Mapping[str, tuple[Any, int]]] = {
    "policy_instants": (operators._known_instant, 300),
    "policy_networks": (operators._known_network, 400),
    "policy_operators": (conditions._read_operator, 500),
    "policy_action_entries": (coverage._known, 5_000),
    "policy_accounts": (principal._known_account, 300),
    "policy_templates": (template._template, 70_000),
    "policy_action_elements": (coverage._listed_often, 6_000),
}
