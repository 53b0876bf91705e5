"""The IAM policy engine: parse, evaluate, say why. Pure: no I/O, nothing of the rest of Moorage."""

from moorage.policy.actions import ECR_ACTIONS, ON_REPOSITORY, EcrAction, ecr_action
from moorage.policy.changeable import Changeable, resource_policies
from moorage.policy.decision import Decision, PolicyTrace, SetName, SetTrace
from moorage.policy.document import Document
from moorage.policy.evaluate import Plan, answer_size, evaluate
from moorage.policy.explanation import SETS, called, explanation, never_applies, source_of
from moorage.policy.explanation import context as told_context
from moorage.policy.fault import PolicyError
from moorage.policy.keys import context_keys
from moorage.policy.kind import Kind
from moorage.policy.lockout import locks_out
from moorage.policy.parsed import Parsed, parse, parsed
from moorage.policy.principal import (
    ANONYMOUS,
    Principal,
    PrincipalKind,
    account_named,
    is_aws_principal,
    is_unique_id,
    root_of,
)
from moorage.policy.request import Named, Policies, Request
from moorage.policy.sentence import plain_sentence, sentence, short
from moorage.policy.spans import Position, Span, statement_span
from moorage.policy.statement import Detail, Finding, TestDetail
from moorage.policy.submission import refusal
from moorage.policy.suggest import Suggestion, blocked_by, suggest
from moorage.policy.suggest_changes import Change
from moorage.policy.suggest_opens import Case, Opened, opened, says
from moorage.policy.turning_points import CLOCK_KEYS, turning_points
from moorage.policy.variables import Context

__all__ = [
    "ANONYMOUS",
    "CLOCK_KEYS",
    "ECR_ACTIONS",
    "ON_REPOSITORY",
    "SETS",
    "Case",
    "Change",
    "Changeable",
    "Context",
    "Decision",
    "Detail",
    "Document",
    "EcrAction",
    "Finding",
    "Kind",
    "Named",
    "Opened",
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
    "called",
    "context_keys",
    "ecr_action",
    "evaluate",
    "explanation",
    "is_aws_principal",
    "is_unique_id",
    "locks_out",
    "never_applies",
    "opened",
    "parse",
    "parsed",
    "plain_sentence",
    "refusal",
    "resource_policies",
    "root_of",
    "says",
    "sentence",
    "short",
    "source_of",
    "statement_span",
    "suggest",
    "told_context",
    "turning_points",
]
