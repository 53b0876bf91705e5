"""Declarative files: planned, applied and exported."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.declarative import writing
from moorage.declarative.applying import Applier, Outcome, documents
from moorage.declarative.authorization import MOST_REFUSALS, Decider
from moorage.declarative.changes import Change
from moorage.declarative.declaration import File
from moorage.declarative.exporting import Exporter
from moorage.declarative.nouns import Over
from moorage.declarative.planning import Planner
from moorage.declarative.state import State
from moorage.declarative.steps import Author
from moorage.errors import AccessDenied
from moorage.names import AccountId
from moorage.policy import lint
from moorage.store.metadata.database.database import Database


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
    """Compares accounts and the organization with what a file says of them, and changes them if its author may."""

    def __init__(
        self, db: Database, over: Over, check: RepositoryPolicyCheck, access: Access, default_account: AccountId
    ) -> None:
        """`default_account` decides on the organization as long as there is none."""
        nouns = over(db)
        self._identity = nouns.identity
        self.exporter = Exporter(State(nouns))
        self._planner = Planner(nouns, default_account)
        self._decider = Decider(access)
        self._applier = Applier(db, over, check)

    async def accounts(self) -> list[AccountId]:
        """Every account that is kept here."""
        return await self._identity.accounts.known()

    async def export(self, accounts: Sequence[AccountId], *, organization: bool) -> AsyncIterator[str]:
        """The file of these accounts as they are, page by page; the organization if it is asked for."""
        yield f"{writing.HEAD}{writing.ACCOUNTS}:{'' if accounts else ' {}'}\n"
        for account in accounts:
            after: str | None = None
            while True:
                page = await self.exporter.page(account, after, organization=False)
                yield page.text
                after = page.following
                if after is None:
                    break
        if organization:
            yield await self.exporter.organization()

    async def apply(self, file: File, asked: Asked, author: Author) -> Outcome:
        """What was done, or would be. Every step is decided before the first is carried out.

        AccessDenied names the first step that the author may not carry out; a dry run lists the first 100 instead.
        InvalidParameter: the author would be deleted, or something is to change that cannot. Then nothing was changed.
        """
        plan = await self._planner.plan(file, author, prune=asked.prune, keys=asked.keys)
        refused = await self._decider.refusals(plan, author, most=MOST_REFUSALS if asked.dry_run else 1)
        if asked.dry_run:
            found = [each.change for each in plan.changes]
            if refused or plan.failure is None:
                return Outcome(found, refused=refused)
            return Outcome(found[: found.index(plan.failure[0])], plan.failure)
        for each in refused:
            message = f"Nothing was changed. {each.where}: {each.error.message}"
            raise AccessDenied(message, each.error.decision_id, short=each.error.short)
        return await self._applier.apply(plan, author)


def told(outcome: Outcome) -> dict[str, Any]:
    """As JSON, for whoever shows it."""
    failed = None
    if outcome.failed is not None:
        change, error = outcome.failed
        failed = {**_told(change), "code": error.code, "message": error.message}
    return {
        "changes": [_told(each) for each in outcome.done],
        "failed": failed,
        "refused": [
            {
                "account": each.planned.change.account,
                "section": each.planned.change.section,
                "name": each.planned.change.label,
                "aspect": each.step.aspect,
                "action": each.step.action,
                "code": each.error.code,
                "message": each.error.message,
            }
            for each in outcome.refused
        ],
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
