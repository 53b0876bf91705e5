"""The IAM policy engine: parses policies, evaluates requests, explains decisions. It does no I/O and imports nothing of
the rest of Moorage."""

from moorage.policy.analysis.candidate_changes import Change
from moorage.policy.analysis.changeable import Changeable, resource_policies
from moorage.policy.analysis.explain import SETS, context_values, explain, never_applies, set_label, source_of
from moorage.policy.analysis.explanation import ContextValue, Explanation
from moorage.policy.analysis.sentence import plain_sentence, sentence, short
from moorage.policy.analysis.suggestion_effects import DeniedRequest, NewlyAllowed, effect_of, newly_allowed
from moorage.policy.analysis.suggestions import Suggestion, blocked_by, suggest
from moorage.policy.analysis.time_boundaries import CLOCK_KEYS, time_boundaries
from moorage.policy.catalog.actions import ECR_ACTIONS, ON_REPOSITORY, Action, ecr_action
from moorage.policy.engine.decision import Decision, PolicyTrace, SetName, SetTrace
from moorage.policy.engine.evaluate import Plan, answer_size, evaluate
from moorage.policy.engine.lockout import locks_out
from moorage.policy.engine.request import Named, Policies, Request
from moorage.policy.language.document import Document
from moorage.policy.language.kind import Kind
from moorage.policy.language.parsed import Parsed, parse, parsed
from moorage.policy.language.referenced_keys import context_keys
from moorage.policy.language.spans import Position, Span, statement_span
from moorage.policy.language.submission import refusal
from moorage.policy.matching.errors import PolicyError
from moorage.policy.matching.principal import (
    ANONYMOUS,
    Principal,
    PrincipalKind,
    account_named,
    is_aws_principal,
    is_unique_id,
    root_of,
)
from moorage.policy.matching.statement import Detail, Finding, TestDetail
from moorage.policy.matching.variables import Context

__all__ = [
    "ANONYMOUS",
    "CLOCK_KEYS",
    "ECR_ACTIONS",
    "ON_REPOSITORY",
    "SETS",
    "Action",
    "Change",
    "Changeable",
    "Context",
    "ContextValue",
    "Decision",
    "DeniedRequest",
    "Detail",
    "Document",
    "Explanation",
    "Finding",
    "Kind",
    "Named",
    "NewlyAllowed",
    "Parsed",
    "Plan",
    "Policies",
    "PolicyError",
    "PolicyTrace",
    "Position",
    "Principal",
    "PrincipalKind",
    "Request",
    "SetName",
    "SetTrace",
    "Span",
    "Suggestion",
    "TestDetail",
    "account_named",
    "answer_size",
    "blocked_by",
    "context_keys",
    "context_values",
    "ecr_action",
    "effect_of",
    "evaluate",
    "explain",
    "is_aws_principal",
    "is_unique_id",
    "locks_out",
    "never_applies",
    "newly_allowed",
    "parse",
    "parsed",
    "plain_sentence",
    "refusal",
    "resource_policies",
    "root_of",
    "sentence",
    "set_label",
    "short",
    "source_of",
    "statement_span",
    "suggest",
    "time_boundaries",
]
