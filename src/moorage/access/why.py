"""`moorage why`: a recorded decision, evaluated again on what it rested on, shown as far as the asker may see it."""

from typing import Any

import msgspec

from moorage import policy
from moorage.access.audit import Recorder
from moorage.access.authorize import RECOVERY_RULE, Access
from moorage.access.caller import Caller, Connection
from moorage.access.recorded import Recorded, Records
from moorage.errors import MoorageError
from moorage.names import InvalidNameError, parse_repository_arn
from moorage.store.metadata.audit import Decided


class DecisionNotFound(MoorageError):
    """No such decision, or none that the asker may see."""

    code = "DecisionNotFoundException"
    status = 404

    def __init__(self) -> None:
        super().__init__("No such decision is recorded, or it is not yours to see.")


class Why:
    """Explains decisions. A principal sees its own side; the repository policy only who may read it."""

    def __init__(self, recorder: Recorder, records: Records, access: Access) -> None:
        self._recorder = recorder
        self._records = records
        self._access = access

    async def explain(self, decision_id: str | None, caller: Caller, connection: Connection) -> str:
        """The decision as a text tree; without an id the caller's last denial. DecisionNotFound."""
        if decision_id is None:
            row = await self._recorder.last_denial(caller.principal.arn)
        else:
            row = await self._recorder.find(decision_id)
        if row is None:
            raise DecisionNotFound
        found = await self._records.whole([Decided(*(row[name] for name in Decided.__struct_fields__))])
        if not found:
            raise DecisionNotFound
        own = _is_own(found[0], caller)
        resource = await self._may_read_resource_side(row, caller, connection)
        if not own and not resource:
            raise DecisionNotFound
        decision = await self._again(found[0])
        seen = tuple(each for each in decision.trace if (resource if each.set in {"resource", "rcp"} else own))
        text = policy.render(msgspec.structs.replace(decision, trace=seen))
        notes = []
        if resource and not any(each.set == "resource" for each in decision.trace):
            notes.append("  resource: no policy is attached")
        if len(seen) < len(decision.trace):
            hidden = ", ".join(dict.fromkeys(each.set for each in decision.trace if each not in seen))
            notes.append(f"  (not shown, as you may not read it: {hidden} policy)")
        if row["count"] > 1:
            notes.append(f"  ({row['count']} equal decisions were made at that moment)")
        return "\n".join([f"decision {row['id']}", text, *notes])

    async def _may_read_resource_side(self, row: dict[str, Any], caller: Caller, connection: Connection) -> bool:
        try:
            ref = parse_repository_arn(row["resource"])
        except InvalidNameError:
            return bool(caller.principal.account == row["account"] and caller.principal.kind == "root")
        return await self._access.allows(caller, connection, "ecr:GetRepositoryPolicy", ref)

    async def _again(self, recorded: Recorded) -> policy.Decision:
        """The same evaluation on the recorded request and policies, now with every detail."""
        decision = policy.evaluate(recorded.request, await self._records.policies(recorded.policies), detail=True)
        if recorded.rule == RECOVERY_RULE:
            decision = msgspec.structs.replace(
                decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
            )
        return decision


def _is_own(recorded: Recorded, caller: Caller) -> bool:
    """The principal itself, or the root of its account."""
    principal, theirs = caller.principal, recorded.request.principal
    if principal.kind == "root" and principal.account == theirs.account:
        return True
    return principal.id == theirs.id
