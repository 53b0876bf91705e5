"""`moorage why`: a recorded decision, evaluated again on what it rested on, shown as far as the asker may see it."""

from typing import Any

import msgspec

from moorage import policy
from moorage.access.audit import Recorder
from moorage.access.authorize import RECOVERY_RULE, Access
from moorage.access.caller import Caller, Connection
from moorage.errors import MoorageError
from moorage.names import InvalidNameError, parse_repository_arn

_KINDS: dict[str, policy.PrincipalKind] = {"Account": "root", "User": "user", "Anonymous": "anonymous"}


class DecisionNotFound(MoorageError):
    """No such decision, or none that the asker may see."""

    code = "DecisionNotFoundException"
    status = 404

    def __init__(self) -> None:
        super().__init__("No such decision is recorded, or it is not yours to see.")


class Why:
    """Explains decisions. A principal sees its own side; the repository policy only who may read it."""

    def __init__(self, recorder: Recorder, access: Access) -> None:
        self._recorder = recorder
        self._access = access

    async def explain(self, decision_id: str | None, caller: Caller, connection: Connection) -> str:
        """The decision as a text tree; without an id the caller's last denial. DecisionNotFound."""
        if decision_id is None:
            row = await self._recorder.last_denial(caller.principal.arn)
        else:
            row = await self._recorder.find(decision_id)
        if row is None:
            raise DecisionNotFound
        own = _is_own(row, caller)
        resource = await self._may_read_resource_side(row, caller, connection)
        if not own and not resource:
            raise DecisionNotFound
        decision = await self._again(row)
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

    async def _again(self, row: dict[str, Any]) -> policy.Decision:
        """The same evaluation on the recorded request and policies, now with every detail."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in msgspec.json.decode(row["context"]).items()
        }
        principal = policy.Principal(
            _KINDS[values["aws:principaltype"]],
            row["principal_account"] or "",
            row["principal"],
            row["principal_id"],
            user_name=values.get("aws:username"),
        )
        sets = msgspec.json.decode(row["policies"])
        policies = policy.Policies(
            identity=await self._named(sets, "identity", policy.Kind.IDENTITY),
            resource=await self._named(sets, "resource", policy.Kind.REPOSITORY),
        )
        request = policy.Request(principal, row["action"], row["resource"], row["account"], values)
        decision = policy.evaluate(request, policies, detail=True)
        if row["rule"] == RECOVERY_RULE:
            decision = msgspec.structs.replace(
                decision, allowed=True, explicit=False, decided_by="root", rule=RECOVERY_RULE
            )
        return decision

    async def _named(
        self, sets: dict[str, list[dict[str, str]]], name: str, kind: policy.Kind
    ) -> tuple[policy.Named, ...] | None:
        if name not in sets:
            return None
        return tuple(
            [
                policy.Named(each["name"], each["hash"], await self._access.compiled(each["hash"], kind))
                for each in sets[name]
            ]
        )


def _is_own(row: dict[str, Any], caller: Caller) -> bool:
    """The principal itself, or the root of its account."""
    principal = caller.principal
    if principal.kind == "root" and principal.account == row["principal_account"]:
        return True
    return bool(principal.id == row["principal_id"])
