"""Declarative files: planned, applied and exported."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from moorage import policy
from moorage.access.declared.applying import Applier, Author, NewKey, Outcome, documents
from moorage.access.declared.changes import Change, changes
from moorage.access.declared.declaration import File
from moorage.access.declared.nouns import Over
from moorage.access.declared.state import State
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.errors import InvalidParameter
from moorage.identity.arns import parse_identity
from moorage.names import AccountId
from moorage.policy import lint
from moorage.store.metadata.database import Database


class Asked(NamedTuple):
    """What is to be done with a file."""

    dry_run: bool = False
    """Only told what would change."""
    prune: bool = False
    """Delete what the file does not name, in the accounts that it names."""
    keys: bool = False
    """Make an access key for every declared user that has none."""


class Warned(NamedTuple):
    """What lint has to say of a policy that a change puts in force."""

    aspect: str
    severity: str
    message: str


class Declared:
    """Compares accounts and the organisation with what is declared of them, and makes them so for whoever may."""

    def __init__(self, db: Database, over: Over, check: RepositoryPolicyCheck) -> None:
        nouns = over(db)
        self._identity = nouns.identity
        self._state = State(nouns)
        self._applier = Applier(db, over, check)

    async def accounts(self) -> list[AccountId]:
        """Every account that is kept here."""
        return await self._identity.accounts.known()

    async def export(self, accounts: Iterable[AccountId], *, organization: bool) -> File:
        """The accounts as they stand; the organisation where it is asked for and there is one."""
        found = {account: await self._state.of(account) for account in accounts}
        one = await self._state.organization() if organization else None
        return File(found, one is not None, one)

    async def apply(self, file: File, asked: Asked, author: Author) -> Outcome:
        """What was done, or would be. Each change is told to the records as the author's.

        Accounts that are not there are made by whoever runs the machine alone. InvalidParameter, before anything is
        changed: the author would be deleted.
        """
        planned = await self._planned(file, author, prune=asked.prune)
        if asked.dry_run:
            return Outcome(planned)
        outcome = await self._applier.apply(planned, author)
        if asked.keys and outcome.failed is None:
            outcome = outcome._replace(keys=[*outcome.keys, *await self._make_keys(file)])
        return outcome

    async def _planned(self, file: File, author: Author, *, prune: bool) -> list[Change]:
        before = {}
        for account in file.accounts:
            is_there = author.caller is not None or await self._identity.accounts.exists(account)
            before[account] = await self._state.of(account) if is_there else None
        now = await self._state.organization() if file.on_organization else None
        planned = changes(before, now, file, prune=prune)
        for change in planned:
            if change.operation == "delete" and _is(author, change):
                raise InvalidParameter(
                    f"{change.section}/{change.label} applies the file, and would be deleted: name it in the file."
                )
        return planned

    async def _make_keys(self, file: File) -> list[NewKey]:
        made = []
        for account, wanted in file.accounts.items():
            for name in sorted(wanted.users):
                if not await self._identity.keys.list(account, name):
                    key, secret = await self._identity.keys.create(account, name)
                    made.append(NewKey(account, name, key.id, secret))
        return made


def _is(author: Author, change: Change) -> bool:
    if author.caller is None:
        return False
    principal = author.caller.principal
    said = parse_identity(principal.role_arn or principal.user_arn or principal.arn)
    if said is None:
        return False
    return (said.account, f"{said.kind}s", said.name.lower()) == (
        change.account,
        change.section,
        change.label.lower(),
    )


def told(outcome: Outcome) -> dict[str, Any]:
    """As JSON, for whoever shows it."""
    failed = None
    if outcome.failed is not None:
        change, error = outcome.failed
        failed = {**_told(change), "code": error.code, "message": error.message}
    return {
        "changes": [_told(each) for each in outcome.done],
        "failed": failed,
        "keys": [
            {"account": key.account, "user": key.user, "accessKeyId": key.id, "secretAccessKey": key.secret}
            for key in outcome.keys
        ],
    }


def _told(change: Change) -> dict[str, Any]:
    return {
        "account": change.account,
        "operation": change.operation,
        "section": change.section,
        "name": change.label,
        "aspects": {name: list(values) for name, values in change.aspects.items()},
        "warnings": [each._asdict() for each in warnings(change)],
    }


def warnings(change: Change) -> list[Warned]:
    """Lint's findings, suggestions left out."""
    owned = {policy.Kind.REPOSITORY, policy.Kind.REGISTRY}
    return [
        Warned(aspect, each.severity.value, each.message)
        for aspect, text, kind in documents(change)
        for each in lint.lint(text, kind, account=change.account if kind in owned else None).findings
        if each.severity is not lint.Severity.SUGGESTION
    ]
