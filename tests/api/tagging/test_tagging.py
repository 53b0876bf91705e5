"""The Resource Groups Tagging API through the AWS door, by the open keys of dev mode."""

import inspect
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moorage.api.tagging import NOT_BUILT, TAGGING
from moorage.api.tagging.shapes import OPERATIONS
from moorage.registry.repositories import resource_tags
from moorage.settings import Settings
from tests.support.in_process import InProcess, in_process

ACCOUNT, OTHER = "000000000000", "111122223333"
ARN = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/"


class Tagging:
    """Calls operations of the API."""

    def __init__(self, registry: InProcess) -> None:
        self.registry = registry

    async def ask(self, operation: str, *, key: str = "test", region: str = "us-east-1", **members: Any) -> Any:
        target = f"ResourceGroupsTaggingAPI_20170126.{operation}"
        body = json.dumps(members).encode()
        return await self.registry.ask(operation, body, key=key, region=region, service="tagging", x_amz_target=target)

    async def ok(self, operation: str, *, key: str = "test", region: str = "us-east-1", **members: Any) -> Any:
        reply = await self.ask(operation, key=key, region=region, **members)
        assert reply.status == 200, reply
        return reply.json

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        reply = await self.ask(operation, **members)
        assert reply.status == 400, reply
        error: tuple[str, str] = reply.error
        return error

    async def found(self, **members: Any) -> dict[str, dict[str, str]]:
        """The tags of the resources of all pages by the names of the repositories, in their order."""
        found: dict[str, dict[str, str]] = {}
        token: str | None = None
        while token != "":
            page = await self.ok("GetResources", **members, **({"PaginationToken": token} if token else {}))
            for each in page["ResourceTagMappingList"]:
                assert each["ResourceARN"] not in found
                found[each["ResourceARN"]] = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            token = page["PaginationToken"]
        return {arn.removeprefix(ARN): tags for arn, tags in found.items()}


@pytest.fixture
async def tagging(database_settings: Settings) -> AsyncIterator[Tagging]:
    async with in_process(replace(database_settings, mode="dev")) as registry:
        yield Tagging(registry)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Tagging]:
    """The same on SQLite alone, for what does not concern the database."""
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as registry:
        yield Tagging(registry)


async def create(tagging: Tagging, name: str, *, key: str = "test", **tags: str) -> None:
    shown = [{"Key": each, "Value": value} for each, value in tags.items()]
    await tagging.registry.ok("CreateRepository", key=key, repositoryName=name, tags=shown)


async def some(tagging: Tagging) -> None:
    await create(tagging, "team/b", team="blue", env="prod")
    await create(tagging, "team/a", team="red", env="prod")
    await create(tagging, "team-z", team="blue", env="test")
    await create(tagging, "untagged")
    await create(tagging, "gone", team="blue")
    await tagging.registry.ok("DeleteRepository", repositoryName="gone")
    await create(tagging, "elsewhere", key=OTHER, team="blue", secret="theirs")


async def test_resources_are_found_by_their_tags(tagging: Tagging) -> None:
    await some(tagging)
    everything = await tagging.found()
    assert sorted(everything) == ["team-z", "team/a", "team/b"]
    assert everything["team/b"] == {"env": "prod", "team": "blue"}
    assert await tagging.found(TagFilters=[]) == everything

    async def names(*filters: tuple[str, list[str]]) -> list[str]:
        return sorted(await tagging.found(TagFilters=[{"Key": key, "Values": values} for key, values in filters]))

    assert await names(("team", ["blue"])) == ["team-z", "team/b"]
    assert await names(("team", ["blue", "red"])) == ["team-z", "team/a", "team/b"]
    assert await names(("team", ["blue"]), ("env", ["prod"])) == ["team/b"]
    assert await names(("team", [])) == ["team-z", "team/a", "team/b"]
    assert await names(("Team", [])) == await names(("team", ["Blue"])) == await names(("secret", [])) == []
    assert sorted(await tagging.found(TagFilters=[{"Key": "env"}])) == ["team-z", "team/a", "team/b"]
    assert (await tagging.ok("GetResources", region="eu-west-1"))["ResourceTagMappingList"] == []
    theirs = await tagging.ok("GetResources", key=OTHER)
    assert [each["ResourceARN"] for each in theirs["ResourceTagMappingList"]] == [
        f"arn:aws:ecr:us-east-1:{OTHER}:repository/elsewhere"
    ]


async def test_resources_are_found_by_their_type(local: Tagging) -> None:
    await some(local)
    for types in (["ecr"], ["ecr:repository"], ["s3", "ecr:repository"], []):
        assert len(await local.found(ResourceTypeFilters=types)) == 3
    for types in (["s3"], ["ecr:image"], ["ECR"], [""]):
        assert await local.found(ResourceTypeFilters=types) == {}
    assert list(await local.found(ResourceTypeFilters=["ecr"], TagFilters=[{"Key": "team", "Values": ["red"]}])) == [
        "team/a"
    ]


async def test_resources_are_found_by_their_arns(local: Tagging) -> None:
    await some(local)
    theirs = f"arn:aws:ecr:us-east-1:{OTHER}:repository/elsewhere"
    arns = [f"{ARN}team/b", f"{ARN}none", f"{ARN}untagged", theirs, "arn:aws:s3:::bucket", f"{ARN}gone", f"{ARN}team/b"]
    assert await local.found(ResourceARNList=arns) == {"team/b": {"env": "prod", "team": "blue"}}
    for more in (
        {"TagFilters": [{"Key": "team"}]},
        {"ResourceTypeFilters": ["ecr"]},
        {"ResourcesPerPage": 5},
        {"TagsPerPage": 100},
        {"PaginationToken": "x"},
    ):
        kind, _ = await local.refused("GetResources", ResourceARNList=arns, **more)
        assert kind == "InvalidParameterException"
    assert await local.refused("GetResources", ResourceARNList=["team/b"]) == (
        "InvalidParameterException",
        "team/b is not a valid AmazonResourceName (ARN)",
    )


async def test_pages_of_resources(tagging: Tagging, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        tags = {"parity": str(number % 2)} if number % 3 else {}
        await create(tagging, f"r{number:02}", **tags)
    whole = await tagging.found()
    assert list(whole) == [f"r{number:02}" for number in range(12) if number % 3]
    for examined in (1, 2, 3, 5_000):
        monkeypatch.setattr(resource_tags, "MAX_EXAMINED", examined)
        for per_page in (1, 3, 100):
            assert await tagging.found(ResourcesPerPage=per_page) == whole
        odd = await tagging.found(TagFilters=[{"Key": "parity", "Values": ["1"]}], ResourcesPerPage=2)
        assert list(odd) == ["r01", "r05", "r07", "r11"]


async def test_a_page_has_so_many_tags(local: Tagging) -> None:
    for number in range(5):
        await create(local, f"r{number}", **{f"key{each}": "value" for each in range(40)})
    page = await local.ok("GetResources", TagsPerPage=100)
    assert [each["ResourceARN"].removeprefix(ARN) for each in page["ResourceTagMappingList"]] == ["r0", "r1"]
    assert len(await local.found(TagsPerPage=100)) == 5


async def test_a_token_is_good_for_its_request_and_for_a_while(local: Tagging) -> None:
    await some(local)
    filters = [{"Key": "env"}]
    token = (await local.ok("GetResources", ResourcesPerPage=1, TagFilters=filters))["PaginationToken"]
    assert await local.ok("GetResources", ResourcesPerPage=1, TagFilters=filters, PaginationToken=token)
    for operation, given in (
        ("GetResources", {"ResourcesPerPage": 2, "TagFilters": filters}),
        ("GetResources", {"ResourcesPerPage": 1}),
        ("GetResources", {"ResourcesPerPage": 1, "TagFilters": filters, "key": OTHER}),
        ("GetTagKeys", {}),
        ("GetTagValues", {"Key": "env"}),
    ):
        kind, _ = await local.refused(operation, PaginationToken=token, **given)
        assert kind == "InvalidParameterException"
    assert (await local.refused("GetTagKeys", PaginationToken="forged"))[0] == "InvalidParameterException"
    local.registry.components.clock.offset += 15 * 60 + 1
    kind, _ = await local.refused("GetResources", ResourcesPerPage=1, TagFilters=filters, PaginationToken=token)
    assert kind == "PaginationTokenExpiredException"


async def test_compliance_is_that_of_an_account_without_tag_policies(local: Tagging) -> None:
    await some(local)
    page = await local.ok("GetResources", IncludeComplianceDetails=True, ResourcesPerPage=1)
    assert page["ResourceTagMappingList"][0]["ComplianceDetails"] == {
        "NoncompliantKeys": [],
        "KeysWithNoncompliantValues": [],
        "MissingTagKeys": [],
        "ComplianceStatus": True,
    }
    assert await local.found(IncludeComplianceDetails=True, ExcludeCompliantResources=True) == {}
    assert (await local.refused("GetResources", ExcludeCompliantResources=True))[0] == "InvalidParameterException"


async def test_keys_and_values_in_use(tagging: Tagging, monkeypatch: pytest.MonkeyPatch) -> None:
    await some(tagging)
    assert await tagging.ok("GetTagKeys") == {"PaginationToken": "", "TagKeys": ["env", "team"]}
    assert await tagging.ok("GetTagValues", Key="team") == {"PaginationToken": "", "TagValues": ["blue", "red"]}
    assert (await tagging.ok("GetTagValues", Key="none"))["TagValues"] == []
    assert (await tagging.ok("GetTagKeys", key=OTHER))["TagKeys"] == ["secret", "team"]
    monkeypatch.setattr(resource_tags, "MAX_EXAMINED", 1)
    seen: set[str] = set()
    token: str | None = None
    while token != "":
        page = await tagging.ok("GetTagValues", Key="team", **({"PaginationToken": token} if token else {}))
        seen |= set(page["TagValues"])
        token = page["PaginationToken"]
    assert seen == {"blue", "red"}


async def test_tags_are_set_and_removed(tagging: Tagging) -> None:
    for name in ("a1", "a2"):
        await create(tagging, name, old="1")
    arns = [f"{ARN}a1", f"{ARN}a2"]
    tagged = await tagging.ok("TagResources", ResourceARNList=arns, Tags={"team": "blue", "old": "2"})
    assert tagged == {"FailedResourcesMap": {}}
    assert await tagging.found() == {name: {"old": "2", "team": "blue"} for name in ("a1", "a2")}
    listed = await tagging.registry.ok("ListTagsForResource", resourceArn=arns[0])
    assert {each["Key"]: each["Value"] for each in listed["tags"]} == {"old": "2", "team": "blue"}
    for _ in range(2):  # keys that are not there do no harm
        untagged = await tagging.ok("UntagResources", ResourceARNList=arns[:1], TagKeys=["old", "none"])
        assert untagged == {"FailedResourcesMap": {}}
    assert await tagging.found() == {"a1": {"team": "blue"}, "a2": {"old": "2", "team": "blue"}}
    await tagging.ok("UntagResources", ResourceARNList=arns[:1], TagKeys=["team"])
    assert list(await tagging.found()) == ["a2"]


async def test_what_cannot_be_tagged_is_told_for_each_resource(local: Tagging) -> None:
    await create(local, "full", **{f"k{number}": "v" for number in range(50)})
    await create(local, "app")
    await create(local, "theirs", key=OTHER)
    cases = {
        f"{ARN}none": (400, "RepositoryNotFoundException"),
        f"{ARN}full": (400, "TooManyTagsException"),
        f"arn:aws:ecr:us-east-1:{OTHER}:repository/theirs": (400, "InvalidParameterException"),
        f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app": (400, "InvalidParameterException"),
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/NO": (400, "InvalidParameterException"),
        "arn:aws:s3:::bucket": (400, "InvalidParameterException"),
    }
    failed = await local.ok("TagResources", ResourceARNList=[*cases, f"{ARN}app"], Tags={"team": "blue"})
    told = {arn: (each["StatusCode"], each["ErrorCode"]) for arn, each in failed["FailedResourcesMap"].items()}
    assert told == cases
    assert all(each["ErrorMessage"] for each in failed["FailedResourcesMap"].values())
    assert (await local.found(ResourceARNList=[f"{ARN}app"])) == {"app": {"team": "blue"}}
    failed = await local.ok("TagResources", ResourceARNList=[f"{ARN}app"], Tags={"aws:mine": "x"})
    assert failed["FailedResourcesMap"][f"{ARN}app"]["ErrorCode"] == "InvalidTagParameterException"
    failed = await local.ok("UntagResources", ResourceARNList=[f"{ARN}none"], TagKeys=["team"])
    assert failed["FailedResourcesMap"][f"{ARN}none"]["ErrorCode"] == "RepositoryNotFoundException"


async def test_one_arn_that_is_none_refuses_them_all(local: Tagging) -> None:
    await create(local, "app")
    for bad in (
        "app",
        "arn:aws:ecr",
        "arn:aws:ecr:us-east-1::",
        "arn:aws::us-east-1:1:x",
        "x" + ARN + "app",
        ARN + "a b",
    ):
        for operation, more in (("TagResources", {"Tags": {"a": "b"}}), ("UntagResources", {"TagKeys": ["a"]})):
            assert await local.refused(operation, ResourceARNList=[f"{ARN}app", bad], **more) == (
                "InvalidParameterException",
                f"{bad} is not a valid AmazonResourceName (ARN)",
            )
    assert await local.found() == {}


LONG_KEY, LONG_VALUE = "k" * 129, "v" * 257


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "TagResources",
            {"ResourceARNList": [f"{ARN}a"], "Tags": {LONG_KEY: LONG_VALUE}},
            f"2 validation errors detected: Value '{{{LONG_KEY}={LONG_VALUE}}}' at 'tags' failed to satisfy "
            "constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member "
            "must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\\s\\S]*]; "
            f"Value '{{{LONG_KEY}={LONG_VALUE}}}' at 'tags' failed to satisfy constraint: Map value must satisfy "
            "constraint: [Member must have length less than or equal to 256, Member must have length greater than or "
            "equal to 0, Member must satisfy regular expression pattern: [\\s\\S]*]",
        ),
        (
            "TagResources",
            {"Tags": {}},
            "2 validation errors detected: Value null at 'resourceARNList' failed to satisfy constraint: Member must "
            "not be null; Value '{}' at 'tags' failed to satisfy constraint: Member must have length greater than or "
            "equal to 1",
        ),
        ("GetTagValues", {}, "1 validation error detected: Value null at 'key' failed to satisfy constraint: Member "
         "must not be null"),
        ("GetResources", {"ResourcesPerPage": 0}, "ResourcesPerPage must be at least 1 and at most 100."),
        ("GetResources", {"ResourcesPerPage": 101}, "ResourcesPerPage must be at least 1 and at most 100."),
        ("GetResources", {"TagsPerPage": 99}, "TagsPerPage must be at least 100 and at most 500."),
        ("GetResources", {"TagsPerPage": 501}, "TagsPerPage must be at least 100 and at most 500."),
        ("GetResources", {"TagFilters": [{"Values": ["x"]}]}, "A tag filter needs a Key."),
        ("GetResources", {"ResourceTypeFilters": ["ecr"] * 101}, "ResourceTypeFilters can have at most 100 items."),
    ],
)  # fmt: skip
async def test_parameters_out_of_bounds(local: Tagging, operation: str, members: dict[str, Any], message: str) -> None:
    assert await local.refused(operation, **members) == ("InvalidParameterException", message)


async def test_more_than_twenty_resources_or_fifty_tags_are_refused(local: Tagging) -> None:
    arns = [f"{ARN}r{number}" for number in range(21)]
    for members in (
        {"ResourceARNList": arns, "Tags": {"a": "b"}},
        {"ResourceARNList": arns[:1], "Tags": {f"k{number}": "v" for number in range(51)}},
    ):
        kind, message = await local.refused("TagResources", **members)
        assert (kind, "Member must have length less than or equal to" in message) == ("InvalidParameterException", True)


async def test_bodies_of_the_wrong_type(local: Tagging) -> None:
    for tags in ({"a": None}, {"a": 1}, [], "x", [{"Key": "a", "Value": "b"}]):
        kind, _ = await local.refused("TagResources", ResourceARNList=[f"{ARN}a"], Tags=tags)
        assert kind == "SerializationException"


def test_every_operation_is_built_or_listed() -> None:
    assert set(TAGGING.operations).isdisjoint(NOT_BUILT)
    assert set(TAGGING.operations) | NOT_BUILT == set(OPERATIONS)
    for name, operation in TAGGING.operations.items():
        _, request, response = inspect.get_annotations(operation.run, eval_str=True).values()
        assert (request, response) == OPERATIONS[name][:2]
    assert {operation.action for operation in TAGGING.operations.values()} == {
        f"tag:{name}" for name in TAGGING.operations
    }
