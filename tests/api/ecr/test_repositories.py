"""Repositories and their tags over the wire."""

from typing import Any

from moorage.access.resources import RegistryResource
from tests.api.ecr.conftest import ACCOUNT, REGION, Ecr

NOT_FOUND = (
    "RepositoryNotFoundException",
    f"The repository with name 'none' does not exist in the registry with id '{ACCOUNT}'",
)


def arn(name: str) -> str:
    return f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}"


async def test_create_fills_in_the_defaults(ecr: Ecr) -> None:
    created = (await ecr.ok("CreateRepository", repositoryName="team/app"))["repository"]
    assert isinstance(created.pop("createdAt"), float)
    assert created == {
        "encryptionConfiguration": {"encryptionType": "AES256"},
        "imageScanningConfiguration": {"scanOnPush": False},
        "imageTagMutability": "MUTABLE",
        "registryId": ACCOUNT,
        "repositoryArn": arn("team/app"),
        "repositoryName": "team/app",
        "repositoryUri": f"localhost:4580/{ACCOUNT}/us-east-1/team/app",
    }
    assert await ecr.refused("CreateRepository", repositoryName="team/app") == (
        "RepositoryAlreadyExistsException",
        f"The repository with name 'team/app' already exists in the registry with id '{ACCOUNT}'",
    )


async def test_create_with_everything(ecr: Ecr) -> None:
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    made = await ecr.ok(
        "CreateRepository",
        repositoryName="aa",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:111122223333:key/k"},
        tags=[{"Key": "Team", "Value": "one"}],
    )
    assert made["repository"]["imageTagMutabilityExclusionFilters"] == filters
    assert made["repository"]["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["repository"]["encryptionConfiguration"]["encryptionType"] == "KMS"
    assert ecr.decisions.asked[-1][2] == {"aws:requesttag/team": "one", "aws:tagkeys": ("Team",)}
    assert await ecr.ok("ListTagsForResource", resourceArn=arn("aa")) == {"tags": [{"Key": "Team", "Value": "one"}]}


async def test_a_name_of_the_path_form_cannot_be_created(ecr: Ecr) -> None:
    kind, _ = await ecr.refused("CreateRepository", repositoryName="111122223333/us-east-1/app")
    assert kind == "InvalidParameterException"


async def test_pages_follow_one_another(ecr: Ecr) -> None:
    names = [f"repo{number}" for number in range(5)]
    for name in names:
        await ecr.ok("CreateRepository", repositoryName=name)
    seen: list[str] = []
    token: dict[str, Any] = {}
    pages = 0
    while True:
        page = await ecr.ok("DescribeRepositories", maxResults=2, **token)
        seen += [each["repositoryName"] for each in page["repositories"]]
        pages += 1
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert (seen, pages) == (names, 3)


async def test_page_tokens_are_bound_and_expire(ecr: Ecr) -> None:
    for name in ("aa", "bb"):
        await ecr.ok("CreateRepository", repositoryName=name)
    token = (await ecr.ok("DescribeRepositories", maxResults=1))["nextToken"]
    bad = (
        "InvalidParameterException",
        "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid next token'",
    )
    assert await ecr.refused("ListImages", repositoryName="aa", nextToken=token) == bad
    assert await ecr.refused("DescribeRepositories", nextToken=token, registryId="444455556666") == bad
    assert await ecr.refused("DescribeRepositories", nextToken="forged") == bad
    ecr.services.clock.offset = ecr.services.settings.page_token_seconds + 1
    assert await ecr.refused("DescribeRepositories", nextToken=token) == bad


async def test_describe_by_name(ecr: Ecr) -> None:
    for name in ("aa", "bb"):
        await ecr.ok("CreateRepository", repositoryName=name)
    ecr.decisions.asked.clear()
    found = await ecr.ok("DescribeRepositories", repositoryNames=["bb", "aa"])
    assert [each["repositoryName"] for each in found["repositories"]] == ["bb", "aa"]
    assert [resource.name for _, resource, _ in ecr.decisions.asked] == ["bb", "aa"]
    assert await ecr.refused("DescribeRepositories", repositoryNames=["aa", "none"]) == NOT_FOUND
    kind, _ = await ecr.refused("DescribeRepositories", repositoryNames=["aa"], maxResults=1)
    assert kind == "InvalidParameterException"


async def test_describing_all_is_decided_on_all(ecr: Ecr) -> None:
    assert await ecr.ok("DescribeRepositories") == {"repositories": []}
    (asked,) = ecr.decisions.asked
    assert asked[:2] == ("ecr:DescribeRepositories", RegistryResource(ACCOUNT, REGION, all_repositories=True))


async def test_a_denied_caller_does_not_learn_whether_a_repository_exists(ecr: Ecr) -> None:
    ecr.decisions.denied = {"ecr:DeleteRepository"}
    assert await ecr.refused("DeleteRepository", repositoryName="none") == ("AccessDeniedException", "not authorized")


async def test_delete(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="aa")
    deleted = (await ecr.ok("DeleteRepository", repositoryName="aa"))["repository"]
    assert sorted(deleted) == [
        "createdAt",
        "imageTagMutability",
        "registryId",
        "repositoryArn",
        "repositoryName",
        "repositoryUri",
    ]
    assert await ecr.refused("DeleteRepository", repositoryName="none") == NOT_FOUND


async def test_registry_id_selects_the_account(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="aa", registryId="444455556666")
    kind, _ = await ecr.refused("DeleteRepository", repositoryName="aa")
    assert kind == "RepositoryNotFoundException"
    ecr.caller.account = "444455556666"
    await ecr.ok("DeleteRepository", repositoryName="aa")


async def test_put_image_tag_mutability(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="aa")
    assert await ecr.ok("PutImageTagMutability", repositoryName="aa", imageTagMutability="IMMUTABLE") == {
        "imageTagMutability": "IMMUTABLE",
        "registryId": ACCOUNT,
        "repositoryName": "aa",
    }
    _, message = await ecr.refused(
        "PutImageTagMutability", repositoryName="aa", imageTagMutability="MUTABLE_WITH_EXCLUSION"
    )
    assert "ImageTagMutabilityExclusionFilters can't be null" in message


async def test_put_image_scanning_configuration(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="aa")
    for flag in (True, False):
        given = {"repositoryName": "aa", "imageScanningConfiguration": {"scanOnPush": flag}}
        assert await ecr.ok("PutImageScanningConfiguration", **given) == {"registryId": ACCOUNT, **given}
        (shown,) = (await ecr.ok("DescribeRepositories", repositoryNames=["aa"]))["repositories"]
        assert shown["imageScanningConfiguration"] == {"scanOnPush": flag}
    await ecr.ok("PutImageScanningConfiguration", repositoryName="aa", imageScanningConfiguration={"scanOnPush": True})
    assert await ecr.ok("PutImageScanningConfiguration", repositoryName="aa", imageScanningConfiguration={}) == {
        "registryId": ACCOUNT,
        "repositoryName": "aa",
        "imageScanningConfiguration": {"scanOnPush": False},
    }
    assert (
        await ecr.refused("PutImageScanningConfiguration", repositoryName="none", imageScanningConfiguration={})
        == NOT_FOUND
    )
    null = "Value null at 'imageScanningConfiguration' failed to satisfy constraint: Member must not be null"
    assert await ecr.refused("PutImageScanningConfiguration", repositoryName="aa") == (
        "ValidationException",
        f"1 validation error detected: {null}",
    )


async def test_tags(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="aa")
    status, body = await ecr.raw(
        "TagResource", f'{{"resourceArn":"{arn("aa")}","tags":[{{"Key":"a","Value":"1"}}]}}'.encode()
    )
    assert (status, body) == (200, b"{}")
    await ecr.ok("TagResource", resourceArn=arn("aa"), tags=[{"Key": "b", "Value": ""}])
    assert await ecr.ok("UntagResource", resourceArn=arn("aa"), tagKeys=["a", "unknown"]) == {}
    assert await ecr.ok("ListTagsForResource", resourceArn=arn("aa")) == {"tags": [{"Key": "b", "Value": ""}]}
    invalid = ("InvalidTagParameterException", "Tag parameters are invalid")
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert await ecr.refused("TagResource", resourceArn=arn("aa"), tags=twice) == invalid
    assert await ecr.refused("TagResource", resourceArn=arn("aa"), tags=[{"Key": "", "Value": ""}]) == invalid
    assert await ecr.refused("ListTagsForResource", resourceArn=arn("none")) == NOT_FOUND


async def test_bad_arns(ecr: Ecr) -> None:
    bad = (
        "InvalidParameterException",
        "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'",
    )
    for text in ("nonsense", arn("UPPER"), arn("aa").replace("us-east-1", "eu-west-1"), arn("../aa")):
        assert await ecr.refused("ListTagsForResource", resourceArn=text) == bad
    assert ecr.decisions.asked == []


async def test_the_registry_and_its_settings(ecr: Ecr) -> None:
    assert await ecr.ok("DescribeRegistry") == {"registryId": ACCOUNT, "replicationConfiguration": {"rules": []}}
    assert ecr.decisions.asked[-1][1] == RegistryResource(ACCOUNT, REGION, all_repositories=False)
    assert await ecr.ok("GetAccountSetting", name="BLOB_MOUNTING") == {"name": "BLOB_MOUNTING", "value": "DISABLED"}
    await ecr.ok("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")
    assert (await ecr.ok("GetAccountSetting", name="BLOB_MOUNTING"))["value"] == "ENABLED"
    assert (await ecr.refused("GetAccountSetting", name="COLOUR"))[0] == "InvalidParameterException"
    kind, message = await ecr.refused("GetAccountSetting")
    assert kind == "ValidationException"
    assert message.startswith("1 validation error detected: Value null at 'name'")


async def test_authorization_token(ecr: Ecr) -> None:
    answer = await ecr.ok("GetAuthorizationToken")
    assert answer == {
        "authorizationData": [
            {
                "authorizationToken": "QVdTOmEtcGFzc3dvcmQ=",
                "expiresAt": 1_800_000_000.5,
                "proxyEndpoint": "http://localhost:4580",
            }
        ]
    }
    assert ecr.decisions.asked[-1][1] == RegistryResource(ACCOUNT, REGION, all_repositories=False)


async def test_repository_policy(ecr: Ecr) -> None:
    assert await ecr.refused("SetRepositoryPolicy", repositoryName="none", policyText="bad") == NOT_FOUND
    await ecr.ok("CreateRepository", repositoryName="aa")
    none = (
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name 'aa' in the registry with id '{ACCOUNT}'",
    )
    assert await ecr.refused("GetRepositoryPolicy", repositoryName="aa") == none
    status, body = await ecr.raw("SetRepositoryPolicy", b'{"repositoryName":"aa","policyText":"{}"}')
    assert (status, body) == (
        200,
        f'{{"policyText":"{{}}","registryId":"{ACCOUNT}","repositoryName":"aa"}}'.encode(),
    )
    assert (await ecr.ok("GetRepositoryPolicy", repositoryName="aa"))["policyText"] == "{}"
    kind, _ = await ecr.refused("SetRepositoryPolicy", repositoryName="aa", policyText="bad")
    assert kind == "InvalidParameterException"
    assert (await ecr.ok("DeleteRepositoryPolicy", repositoryName="aa"))["policyText"] == "{}"
    assert await ecr.refused("DeleteRepositoryPolicy", repositoryName="aa") == none


async def test_operations_not_built_are_unknown(ecr: Ecr) -> None:
    kind, _ = await ecr.refused("StartImageScan", repositoryName="aa", imageId={})
    assert kind == "com.amazon.coral.service#UnknownOperationException"
