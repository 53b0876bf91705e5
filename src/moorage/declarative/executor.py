"""Carrying plans out: one transaction for a plan, with the same rules as the calls of the API."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from moorage import policy
from moorage.clock import Clock
from moorage.declarative.authorization import RefusedStep
from moorage.declarative.changes import Change
from moorage.declarative.organization import POLICIES
from moorage.declarative.steps import Author, Execution, IssuedKey, Plan
from moorage.errors import MoorageError
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.savepoint import Savepoint

OPERATOR = Author("operator", None)


class ApplyResult(NamedTuple):
    """The result of applying a file."""

    changes: list[Change]
    """The changes that were made; of a dry run, those that would be made. After a failure, those that came before it
    and were undone."""
    failed: tuple[Change, MoorageError] | None = None
    """The change that failed. Then nothing was changed, and the changes after it were not tried."""
    keys: Sequence[IssuedKey] = ()
    refused: Sequence[RefusedStep] = ()
    """What the author of a dry run may not do. Then nothing would be changed."""


class Executor:
    """Carries plans out."""

    def __init__(self, db: Database, clock: Clock, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings

    async def apply(self, plan: Plan, author: Author, *, dry_run: bool) -> ApplyResult:
        """Make all changes of the plan, or none if one of them fails.

        A dry run makes them too, by the same rules, and then undoes them. It leaves nothing behind.
        """
        if not plan.everything:
            return ApplyResult([])
        at = self._clock.now()

        def work(conn: Connection) -> ApplyResult:
            # A savepoint undoes the changes. If the work raised instead, the group of transactions would run again.
            savepoint = Savepoint(conn)
            outcome = _carry_out(plan, Execution(conn, self._settings, author.by, at))
            if dry_run or outcome.failed is not None:
                savepoint.undo()
                return outcome._replace(keys=())
            savepoint.keep()
            return outcome

        return await self._db.transaction(work, long=True)


def _carry_out(plan: Plan, execution: Execution) -> ApplyResult:
    """Carry out the steps in order, up to the first that fails."""
    changes: list[Change] = []
    keys: list[IssuedKey] = []
    for number, planned in enumerate(plan.everything):
        try:
            results = [step.run(execution) for step in planned.steps]
        except MoorageError as error:
            return ApplyResult(changes, (planned.change, error))
        keys += [each for each in results if isinstance(each, IssuedKey)]
        if number < len(plan.changes):  # the rest only issues keys
            changes.append(planned.change)
    return ApplyResult(changes, None, keys)


def documents(change: Change) -> list[tuple[str, str, policy.Kind]]:
    """Return the policies that a change puts in force: their aspect, text and kind."""
    if change.section == "organization":
        return _guard_rails(change)
    of_resource = policy.Kind.REGISTRY if change.section == "registries" else policy.Kind.REPOSITORY
    kinds = {"document": policy.Kind.IDENTITY, "trust": policy.Kind.TRUST, "policy": of_resource}
    found: list[tuple[str, str, policy.Kind]] = []
    for aspect, (before, after) in change.aspects.items():
        if aspect in kinds and after:
            found.append((aspect, after, kinds[aspect]))
        elif aspect == "inline" and after:
            was = before or {}
            found += [
                (f"inline/{name}", text, policy.Kind.IDENTITY)
                for name, text in sorted(after.items())
                if was.get(name) != text
            ]
    return found


def _guard_rails(change: Change) -> list[tuple[str, str, policy.Kind]]:
    before, after = ({} if one is None else json.loads(one.document) for one in (change.before, change.after))
    return [
        (f"{member}/{name}", json.dumps(given), kind)
        for member, kind in POLICIES
        for name, given in after.get(member, {}).items()
        if before.get(member, {}).get(name) != given
    ]
