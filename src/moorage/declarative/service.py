"""Planning, applying and exporting declarative files."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from moorage import policy
from moorage.access.authorize import Access
from moorage.access.principals import Principals
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.clock import Clock
from moorage.declarative import writer
from moorage.declarative.authorization import MOST_REFUSALS, PlanAuthorizer
from moorage.declarative.changes import Change
from moorage.declarative.declaration import File
from moorage.declarative.executor import ApplyResult, Executor, documents
from moorage.declarative.exporter import Exporter
from moorage.declarative.planner import Planner
from moorage.declarative.state import CurrentState
from moorage.declarative.steps import Author
from moorage.errors import AccessDenied
from moorage.identity.identity import Identity
from moorage.names import AccountId
from moorage.policy import lint
from moorage.registry.registry import Registry
from moorage.sealing import Sealer
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database


class ApplyOptions(NamedTuple):
    """How a file is applied."""

    dry_run: bool = False
    """Only find out what would change."""
    prune: bool = False
    """Delete what the file does not name, in the accounts that it names."""
    keys: bool = False
    """Create an access key for every declared user who has none."""


class LintWarning(NamedTuple):
    """A finding of lint about a policy that a change puts in force."""

    aspect: str
    severity: str
    message: str


class DeclarativeFiles:
    """Compares accounts and the organization with files, changes them if the author may, and writes files of them."""

    def __init__(self, planner: Planner, authorizer: PlanAuthorizer, executor: Executor, exporter: Exporter) -> None:
        self._planner = planner
        self._authorizer = authorizer
        self._executor = executor
        self.exporter = exporter

    @classmethod
    def over(
        cls,
        db: Database,
        *,
        identity: Identity,
        registry: Registry,
        principals: Principals,
        policy_check: RepositoryPolicyCheck,
        access: Access,
        sealer: Sealer,
        clock: Clock,
        settings: Settings,
    ) -> "DeclarativeFiles":
        """Return the service over a database."""
        state = CurrentState(identity, registry, principals)
        return cls(
            Planner(identity, state, policy_check, sealer, settings.default_account),
            PlanAuthorizer(access),
            Executor(db, clock, settings),
            Exporter(state),
        )

    async def export(self, accounts: Sequence[AccountId], *, organization: bool) -> AsyncIterator[str]:
        """Yield the file of these accounts and, if requested, of the organization, page by page."""
        yield f"{writer.HEAD}{writer.ACCOUNTS}:{'' if accounts else ' {}'}\n"
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

    async def apply(self, file: File, options: ApplyOptions, author: Author) -> ApplyResult:
        """Make the changes, or (dry run) find out what they are and whether they would succeed.

        Every step is decided before the first is carried out. AccessDenied names the first step that the author may
        not carry out; a dry run lists the first 100 instead. InvalidParameter: the author would be deleted, or the file
        changes something that cannot be changed. Then nothing was changed.
        """
        plan = await self._planner.plan(file, author, prune=options.prune, keys=options.keys)
        refused = await self._authorizer.refusals(plan, author, most=MOST_REFUSALS if options.dry_run else 1)
        if refused and options.dry_run:
            return ApplyResult([each.change for each in plan.changes], refused=refused)
        for each in refused:
            message = f"Nothing was changed. {each.where}: {each.error.message}"
            raise AccessDenied(message, each.error.decision_id, short=each.error.short)
        return await self._executor.apply(plan, author, dry_run=options.dry_run)


def result_as_json(outcome: ApplyResult) -> dict[str, Any]:
    """Return the result as JSON values, for the API and the command line."""
    failed = None
    if outcome.failed is not None:
        change, error = outcome.failed
        failed = {**_change_as_json(change), "code": error.code, "message": error.message}
    return {
        "changes": [_change_as_json(each) for each in outcome.changes],
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


def _change_as_json(change: Change) -> dict[str, Any]:
    return {
        "account": change.account,
        "operation": change.operation,
        "section": change.section,
        "name": change.label,
        "aspects": {name: list(values) for name, values in change.aspects.items()},
        "warnings": [each._asdict() for each in warnings(change)],
    }


def warnings(change: Change) -> list[LintWarning]:
    """Return lint's findings, without suggestions."""
    owned = {policy.Kind.REPOSITORY, policy.Kind.REGISTRY}
    return [
        LintWarning(aspect, each.severity.value, each.message)
        for aspect, text, kind in documents(change)
        for each in lint.lint(text, kind, account=change.account if kind in owned else None).findings
        if each.severity is not lint.Severity.SUGGESTION
    ]
