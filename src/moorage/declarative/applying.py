"""Plans are carried out: each change whole or not at all, through the same rules as the API's calls."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from moorage import policy
from moorage.access.repository_policy import RepositoryPolicyCheck
from moorage.declarative.authorization import Refusal
from moorage.declarative.changes import Change
from moorage.declarative.nouns import Over
from moorage.declarative.organization import POLICIES
from moorage.declarative.steps import Author, NewKey, Plan, Planned
from moorage.errors import MoorageError
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.within import in_one

OPERATOR = Author("operator", None)


class Outcome(NamedTuple):
    """What came of a file."""

    done: list[Change]
    """In order; of a dry run, what would be done."""
    failed: tuple[Change, MoorageError] | None = None
    """The change that failed; those after it were not tried. Of a dry run, the first that is known to fail."""
    keys: Sequence[NewKey] = ()
    refused: Sequence[Refusal] = ()
    """Of a dry run: what the author may not do, so that nothing would be done."""


class Applier:
    """Carries plans out."""

    def __init__(self, db: Database, over: Over, check: RepositoryPolicyCheck) -> None:
        self._db = db
        self._over = over
        self._check = check

    async def apply(self, plan: Plan, author: Author) -> Outcome:
        """In order, up to the first change that fails."""
        done: list[Change] = []
        keys: list[NewKey] = []
        for planned in plan.changes:
            try:
                keys += await self._carry_out(planned, author)
            except MoorageError as error:
                return Outcome(done, (planned.change, error), keys)
            done.append(planned.change)
        for planned in plan.keys:
            try:
                keys += await self._carry_out(planned, author)
            except MoorageError as error:
                return Outcome(done, (planned.change, error), keys)
        return Outcome(done, None, keys)

    async def _carry_out(self, planned: Planned, author: Author) -> list[NewKey]:
        runs = [await step.ready(self._check, author) for step in planned.steps]

        async def work(db: Database) -> list[NewKey]:
            on = self._over(db)
            results = [await run(on) for run in runs]
            return [each for each in results if isinstance(each, NewKey)]

        return await in_one(self._db, work)


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
        (f"{member}/{name}", json.dumps(said), kind)
        for member, kind in POLICIES
        for name, said in after.get(member, {}).items()
        if before.get(member, {}).get(name) != said
    ]
