"""Computes the access matrix from policy files alone, without a server."""

from collections.abc import Mapping

import msgspec
import typer

from moorage import policy
from moorage.analysis.access_report import AccessMatrix
from moorage.analysis.matrix import Matrix, TargetRepository, report_row, widened
from moorage.analysis.matrix_subjects import (
    MatrixSubject,
    anonymous,
    distinct,
    named_in,
    other_accounts,
    principal_of,
    role,
    user,
)
from moorage.cli.policy.files import read_policy


def matrix(
    proposed: str | None,
    identities: Mapping[str, str],
    before: str | None,
    account: str | None,
    given: Mapping[str, str],
) -> AccessMatrix:
    """Return the matrix of the repository policy in the file `proposed`, compared with that in the file `before`.

    `identities`: files of identity policies, by ARN. `given`: condition keys with fixed values. Raise BadParameter.
    """
    if proposed is None:
        raise typer.BadParameter("name a repository, a --principal, or a --policy file")
    if account is None or policy.account_named(account) != account:
        raise typer.BadParameter("name the account of the repository: 12 digits", param_hint="--account")
    new = _document(proposed, policy.Kind.REPOSITORY)
    old = None if before is None else _document(before, policy.Kind.REPOSITORY)
    subjects = [_subject(arn, file) for arn, file in identities.items()]
    subjects += named_in([each for each in (new, old) if each is not None], account)
    subjects += [*other_accounts(None), anonymous()]
    computed = Matrix(given)
    rows, gained = [], []
    for subject in distinct(subjects):
        row = computed.row(subject, _repository(new, account))
        old_row = None if old is None else computed.row(subject, _repository(old, account))
        rows.append(report_row(row, old_row))
        gained += [] if old_row is None else widened(old_row, row)
    return AccessMatrix(rows, None if old is None else gained)


def _repository(document: policy.Document, account: str) -> TargetRepository:
    arn = f"arn:aws:ecr:us-east-1:{account}:repository/the-repository"
    return TargetRepository(arn, account, "us-east-1", {}, policy.Named("RepositoryPolicy", "", document))


def _subject(arn: str, file: str) -> MatrixSubject:
    principal = principal_of(arn)
    if principal is None or principal.kind not in {"user", "role"}:
        raise typer.BadParameter(f"{arn} is not the ARN of a user or role", param_hint="--identity")
    named = policy.Named(file, "", _document(file, policy.Kind.IDENTITY))
    policies = policy.Policies(identity=(named,))
    if principal.kind == "role":
        return role(principal, policies)
    subject = user(principal, policies, {})
    # The file contains neither the user's tags nor its unique id.
    known = {key: value for key, value in subject.known.items() if key != "aws:userid"}
    unknown = msgspec.structs.replace(
        subject.unknown,
        keys=subject.unknown.keys | {"aws:userid"},
        prefixes=(*subject.unknown.prefixes, "aws:principaltag/"),
    )
    return msgspec.structs.replace(subject, known=known, unknown=unknown)


def _document(name: str, kind: policy.Kind) -> policy.Document:
    try:
        return policy.parse(read_policy(name), kind)
    except policy.PolicyError as error:
        raise typer.BadParameter(f"{name}: {error.reason}, at {error.pointer or '/'}") from error
