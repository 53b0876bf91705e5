"""What the first change of a plan is that would fail, as far as that can be told before anything is changed.

A group or a managed policy that is neither there nor in the file; the API would refuse to name it. What depends on
other state (quotas, policies of resources that name principals) is found out only when the change is made.
"""

from collections.abc import Iterable, Iterator, Mapping

from moorage.declarative.changes import Change
from moorage.declarative.declaration import Account, File
from moorage.errors import MoorageError
from moorage.identity import errors
from moorage.identity.arns import policy_arn
from moorage.identity.policies import aws_managed
from moorage.identity.principals.entity import GROUP
from moorage.names import AccountId

_HOLDERS = frozenset({"users", "groups", "roles"})


def first_failure(
    changes: Iterable[Change],
    before: Mapping[AccountId, Account | None],
    file: File,
    groups: Mapping[AccountId, Mapping[str, str]],
) -> tuple[Change, MoorageError] | None:
    """Return the first change that would fail, with the API's error. `groups`: by name in lower case, there by then."""
    policies = {account: _policies(account, before[account], one) for account, one in file.accounts.items()}
    for change in changes:
        if change.account is None or change.section not in _HOLDERS or change.after is None:
            continue
        for error in _failures(change, policies[change.account], groups[change.account]):
            return change, error
    return None


def _policies(account: AccountId, before: Account | None, after: Account) -> frozenset[str]:
    """ARNs, in lower case, of the managed policies that are there or that the file creates."""
    there = {**(before or Account()).policies, **after.policies}
    own = [policy_arn(account, one.path, name) for name, one in there.items()]
    return frozenset(arn.lower() for arn in (*own, *aws_managed.BY_ARN))


def _failures(change: Change, policies: frozenset[str], groups: Mapping[str, str]) -> Iterator[MoorageError]:
    before, after = change.before, change.after
    named = {*after.attached} - {*(() if before is None else before.attached)}
    boundary = getattr(after, "boundary", None)
    if boundary is not None and (before is None or before.boundary != boundary):
        named.add(boundary)
    for arn in sorted(named):
        if arn.lower() not in policies:
            yield errors.not_attachable(arn)
    if change.section == "users":
        for name in sorted({*after.groups} - {*(() if before is None else before.groups)}):
            if name.lower() not in groups:
                yield errors.no_entity(GROUP.name, name)
