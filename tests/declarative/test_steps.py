"""What applying does is decided as the API decides it: the same action, resources and condition keys."""

import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage import policy
from moorage.access.caller import Caller
from moorage.access.resources import NamedResource
from moorage.api.authorization import Concealed
from moorage.api.aws import query
from moorage.api.aws.operation import Call
from moorage.api.ecr import ECR, shapes
from moorage.api.iam import IAM, IamServices
from moorage.application import Components, open_components
from moorage.declarative.executor import OPERATOR
from moorage.declarative.planner import Planner
from moorage.declarative.reader import read
from moorage.declarative.service import ApplyOptions
from moorage.declarative.state import CurrentState
from moorage.declarative.steps import ACTIONS, Author, Execution, PlannedChange, Step
from moorage.errors import InvalidParameter
from moorage.identity.arns import policy_arn
from moorage.identity.credentials.credentials import PolicySets
from moorage.names import AccountId, Region
from moorage.settings import Settings
from tests.declarative import files
from tests.support.backend import connection

ACCOUNT = AccountId("111122223333")
REGION = Region("us-east-1")
ROOT = Caller(policy.root_of(ACCOUNT), "key", "AKIA", PolicySets(), {})
AUTHOR = Author("root", (ROOT, connection(region=REGION)))
BEYOND = {"moorage:DeleteOrganization", "moorage:PutOrganization", "organizations:CreateAccount"}
"""Actions of what no account has: no API of AWS's here does the same."""


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Components]:
    settings = Settings(mode="dev", data=tmp_path, default_account=ACCOUNT)
    tmp_path.joinpath("blobs").mkdir(exist_ok=True)
    opened = await open_components(settings)
    await opened.declarative_files.apply(read(text(files.before(ACCOUNT))), ApplyOptions(), OPERATOR)
    spare = policy_arn(ACCOUNT, "/", "spare")
    await opened.identity.managed.create_version(ACCOUNT, spare, json.dumps(files.PUSH), "root", as_default=True)
    await opened.identity.keys.create(ACCOUNT, "gone", by="tests")
    yield opened
    await opened.close()


def text(account: dict[str, Any]) -> str:
    return json.dumps({"accounts": {ACCOUNT: account}})


async def test_every_step_is_decided_as_the_operation_of_the_api_is(parts: Components) -> None:
    plan = await planner(parts).plan(read(text(files.after(ACCOUNT))), AUTHOR, prune=True, keys=True)
    met = set()
    for planned in plan.everything:
        for number, step in enumerate(planned.steps):
            met.add(step.action)
            assert await asked(parts, planned, step) == await declared_by_the_api(parts, planned, step), step
            if number == 0 and planned.change.operation == "create":
                await carry_out(parts, step)  # the API finds what the next step is about
    assert met == ACTIONS - BEYOND, "files.py takes every kind of step"


def planner(parts: Components) -> Planner:
    state = CurrentState(parts.identity, parts.registry, parts.principals)
    return Planner(parts.identity, state, parts.policy_check, parts.sealer, ACCOUNT)


async def carry_out(parts: Components, step: Step) -> None:
    at, settings = parts.clock.now(), Settings()
    await parts.database.transaction(lambda conn: step.run(Execution(conn, settings, AUTHOR.by, at)))


async def asked(_parts: Components, planned: PlannedChange, step: Step) -> Any:
    conditions = dict(step.conditions)
    if step.action.startswith("ecr:") and planned.change.operation == "create":
        # Tags of a repository that is there are looked up when it is decided.
        conditions = {key: value for key, value in conditions.items() if "resourcetag" not in key}
    return list(step.resources), conditions


async def declared_by_the_api(parts: Components, planned: PlannedChange, step: Step) -> Any:
    """What the operation of that name is decided on, if its request asks for the same."""
    service, _, name = step.action.partition(":")
    unused: Any = None
    services = IamServices(identity=parts.identity, principals=parts.principals, simulator=unused, clock=parts.clock)
    call: Call[Any] = Call(services, ROOT, connection(), ACCOUNT, _region(planned), "", "http", "localhost", {})
    operation = (IAM if service == "iam" else ECR).operations[name]
    request: Any = iam_request(planned, step) if service == "iam" else ecr_request(planned, name)
    resources = await _now(operation.resources(call, request))
    conditions = await _now(operation.conditions(call, request))
    assert list(operation.actions(call, request)) == [step.action]
    found = [each.found if isinstance(each, Concealed) else each for each in resources]
    return list(dict.fromkeys(found)), dict(conditions)


async def _now(found: Any) -> Any:
    return await found if isinstance(found, Awaitable) else found


def _region(planned: PlannedChange) -> Region:
    name = planned.change.name
    if planned.change.section == "repositories":
        return Region(name[0])
    return Region(name) if planned.change.section == "registries" else REGION


def iam_request(planned: PlannedChange, step: Step) -> Any:
    """The request of IAM's operation; what it must have beside what it is decided on has any valid value."""
    kind = IAM.requests[step.action.partition(":")[2]]
    required = [each.encode_name for each in msgspec.structs.fields(kind) if each.required]
    return query.decode(
        kind, {name: {"VersionId": "v1"}.get(name, "v" * 20) for name in required} | fields(planned, step)
    )


def fields(planned: PlannedChange, step: Step) -> dict[str, str]:
    """The form fields of IAM's operation."""
    change, operation = planned.change, step.action.partition(":")[2]
    titles = {"users": "User", "groups": "Group", "roles": "Role", "policies": "Policy"}
    found = {f"{titles[change.section]}Name": change.name}
    one = change.before or change.after
    if change.section == "policies":
        found["PolicyArn"] = policy_arn(ACCOUNT, one.path, change.name)
    kind, _, what = step.aspect.partition("/")
    if kind == "attached":
        found["PolicyArn"] = what
    elif kind == "inline":
        found["PolicyName"] = what
    elif kind == "groups":
        found["GroupName"] = what
    elif kind == "path":
        found["NewPath"] = change.after.path
    elif operation.startswith("Put") and kind == "boundary":
        found["PermissionsBoundary"] = change.after.boundary
    elif operation.startswith("Untag"):
        gone = sorted({*change.before.tags} - {*change.after.tags})
        found |= {f"TagKeys.member.{number}": key for number, key in enumerate(gone, 1)}
    elif operation.startswith("Tag"):
        changed = {key: value for key, value in change.after.tags.items() if change.before.tags.get(key) != value}
        found |= _tags(changed)
    elif operation in {"CreateUser", "CreateGroup", "CreateRole", "CreatePolicy"}:
        found["Path"] = change.after.path
        found |= _tags(getattr(change.after, "tags", {}))
        boundary = getattr(change.after, "boundary", None)
        found |= {} if boundary is None else {"PermissionsBoundary": boundary}
    return found


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        f"Tags.member.{number}.{member}": said
        for number, (key, value) in enumerate(tags.items(), 1)
        for member, said in (("Key", key), ("Value", value))
    }


def ecr_request(planned: PlannedChange, operation: str) -> Any:
    change = planned.change
    if change.section == "registries":
        if operation == "PutAccountSetting":
            return shapes.PutAccountSettingRequest(name="REGISTRY_POLICY_SCOPE", value=change.after.policy_scope)
        return None
    region, name = change.name
    arn = f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{name}"
    if operation == "UntagResource":
        return shapes.UntagResourceRequest(
            resource_arn=arn, tag_keys=sorted({*change.before.tags} - {*change.after.tags})
        )
    if operation == "TagResource":
        changed = {key: value for key, value in change.after.tags.items() if change.before.tags.get(key) != value}
        return shapes.TagResourceRequest(resource_arn=arn, tags=_ecr_tags(changed))
    tags = {} if change.after is None else change.after.tags
    return shapes.CreateRepositoryRequest(repository_name=name, tags=_ecr_tags(tags))


def _ecr_tags(tags: Mapping[str, str]) -> list[shapes.Tag]:
    return [shapes.Tag(key=key, value=value) for key, value in tags.items()]


@pytest.mark.parametrize(
    ("action", "resources"),
    [("", [NamedResource(ACCOUNT, "*")]), ("iam:CreateUser", []), ("iam:GetUser", [NamedResource(ACCOUNT, "*")])],
)
def test_a_step_that_nobody_decides_cannot_be_made(action: str, resources: list[NamedResource]) -> None:
    def run(_e: Execution) -> None:
        raise AssertionError("it is not carried out")

    with pytest.raises(ValueError, match="decided on an action and a resource"):
        Step(action, resources, {}, run)


@pytest.mark.parametrize(
    ("section", "declared", "says"),
    [
        ("policies", {"document": files.allow("ecr:*", Resource="**")}, "must be in ARN format"),
        ("users", {"inline": {"own": files.allow("*:PutImage", Resource="*")}}, "must not contain wildcards"),
        ("roles", {"trust": files.allow("ecr:*", Principal={"AWS": ACCOUNT})}, "may only specify STS AssumeRole"),
    ],
)
async def test_a_new_document_that_iam_refuses_is_refused(
    parts: Components, section: str, declared: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidParameter, match=f"{section}/newly: .*{says}"):
        await planner(parts).plan(read(text({section: {"newly": declared}})), AUTHOR, prune=False, keys=False)


async def test_a_document_that_is_stored_already_may_stay_as_it_is(parts: Components) -> None:
    old = files.allow("*:*", Resource="**")
    await parts.identity.managed.create(ACCOUNT, "/", "old", json.dumps(old), "root")
    file = read(text({"policies": {"old": {"document": old, "tags": {"new": "tag"}}}}))
    plan = await planner(parts).plan(file, AUTHOR, prune=False, keys=False)
    assert [step.action for planned in plan.everything for step in planned.steps] == ["iam:TagPolicy"]
