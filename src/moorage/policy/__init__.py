"""The IAM policy engine: parse, evaluate, say why. Pure: no I/O, nothing of the rest of Moorage."""

from moorage.policy.actions import ECR_ACTIONS, EcrAction, ecr_action
from moorage.policy.decision import Decision, PolicyTrace, SetTrace
from moorage.policy.document import Document, parse
from moorage.policy.evaluate import evaluate
from moorage.policy.fault import PolicyError
from moorage.policy.kind import Kind
from moorage.policy.lockout import locks_out
from moorage.policy.principal import ANONYMOUS, Principal, PrincipalKind, account_named, is_aws_principal, is_unique_id
from moorage.policy.render import render
from moorage.policy.request import Named, Policies, Request
from moorage.policy.sentence import sentence, short
from moorage.policy.statement import Detail, Finding, TestDetail
from moorage.policy.variables import Context

__all__ = [
    "ANONYMOUS",
    "ECR_ACTIONS",
    "Context",
    "Decision",
    "Detail",
    "Document",
    "EcrAction",
    "Finding",
    "Kind",
    "Named",
    "Policies",
    "PolicyError",
    "PolicyTrace",
    "Principal",
    "PrincipalKind",
    "Request",
    "SetTrace",
    "TestDetail",
    "account_named",
    "ecr_action",
    "evaluate",
    "is_aws_principal",
    "is_unique_id",
    "locks_out",
    "parse",
    "render",
    "sentence",
    "short",
]
