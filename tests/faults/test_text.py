"""Texts that no database can hold, in every parameter of every operation: refused as ECR refuses, never a 500."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.api.ecr import ECR
from tests.support.in_process import InProcess
from tests.support.oci_asgi import AsgiClient

NAME = "team/app"
ARN = f"arn:aws:ecr:us-east-1:000000000000:repository/{NAME}"
DIGEST = "sha256:" + "0" * 64
UPLOAD = "00000000-0000-4000-8000-000000000000"
IDS = [{"imageDigest": DIGEST, "imageTag": "v1"}, {"imageTag": "v1"}, {"imageDigest": DIGEST}]
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "artifactType": "application/x",
        "manifests": [],
        "subject": {"mediaType": "application/x", "digest": DIGEST, "size": 1},
        "annotations": {"a\0": "b\0"},
    }
)
REQUESTS: dict[str, dict[str, Any]] = {
    "BatchCheckLayerAvailability": {"repositoryName": NAME, "layerDigests": [DIGEST]},
    "BatchDeleteImage": {"repositoryName": NAME, "imageIds": IDS},
    "BatchGetImage": {"repositoryName": NAME, "imageIds": IDS, "acceptedMediaTypes": ["a/b"]},
    "CompleteLayerUpload": {"repositoryName": NAME, "uploadId": UPLOAD, "layerDigests": [DIGEST]},
    "CreateRepository": {
        "repositoryName": "team/made",
        "tags": [{"Key": "k", "Value": "v"}],
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}],
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "k"},
    },
    "DeleteRegistryPolicy": {},
    "DeleteRepository": {"repositoryName": "team/absent"},
    "DeleteRepositoryPolicy": {"repositoryName": NAME},
    "DescribeImages": {"repositoryName": NAME, "imageIds": IDS},
    "DescribeRegistry": {},
    "DescribeRepositories": {"repositoryNames": [NAME]},
    "GetAccountSetting": {"name": "BLOB_MOUNTING"},
    "GetAuthorizationToken": {"registryIds": ["000000000000"]},
    "GetDownloadUrlForLayer": {"repositoryName": NAME, "layerDigest": DIGEST},
    "GetRegistryPolicy": {},
    "GetRepositoryPolicy": {"repositoryName": NAME},
    "InitiateLayerUpload": {"repositoryName": NAME},
    "ListImages": {"repositoryName": NAME, "nextToken": "t", "filter": {"tagStatus": "ANY"}},
    "ListTagsForResource": {"resourceArn": ARN},
    "PutAccountSetting": {"name": "BLOB_MOUNTING", "value": "DISABLED"},
    "PutImage": {
        "repositoryName": NAME,
        "imageManifest": MANIFEST,
        "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
        "imageTag": "v1",
        "imageDigest": DIGEST,
    },
    "PutRegistryPolicy": {"policyText": "{}"},
    "PutImageScanningConfiguration": {"repositoryName": NAME, "imageScanningConfiguration": {"scanOnPush": True}},
    "PutImageTagMutability": {
        "repositoryName": NAME,
        "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}],
    },
    "SetRepositoryPolicy": {"repositoryName": NAME, "policyText": "{}"},
    "TagResource": {"resourceArn": ARN, "tags": [{"Key": "k", "Value": "v"}]},
    "UntagResource": {"resourceArn": ARN, "tagKeys": ["k"]},
    "UploadLayerPart": {
        "repositoryName": NAME,
        "uploadId": UPLOAD,
        "partFirstByte": 0,
        "partLastByte": 0,
        "layerPartBlob": "YQ==",
    },
}


def spoilt(value: Any) -> Iterator[Any]:
    """`value` with one text in it after the other spoilt."""
    if isinstance(value, str):
        yield f"{value}\0"
        yield "\0"
        yield "\ud800"
    elif isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            for bad in spoilt(value[key]):
                changed = copy.copy(value)
                changed[key] = bad
                yield changed


@pytest.fixture
def registry(registry_on_each: InProcess) -> InProcess:
    """What a text does depends on the database."""
    return registry_on_each


@pytest.fixture
async def oci(registry: InProcess) -> AsgiClient:
    await registry.ok("CreateRepository", repositoryName=NAME)
    return await registry.oci()


def test_every_operation_is_here() -> None:
    assert set(REQUESTS) == set(ECR.operations)


@pytest.mark.usefixtures("oci")
async def test_at_the_ecr_door(registry: InProcess) -> None:
    for operation, members in REQUESTS.items():
        for number, bad in enumerate(spoilt(members)):
            reply = await registry.ecr(operation, **bad)
            if reply.status == 200 and operation == "CreateRepository":
                await registry.ok("DeleteRepository", repositoryName="team/made")
            assert reply.status in {200, 400}, (operation, number, reply)


@pytest.mark.parametrize(
    "tags", [[{"Key": "a\0", "Value": "b"}], [{"Key": "a", "Value": "b\0"}], [{"Key": "a", "Value": "b\n"}]]
)
@pytest.mark.usefixtures("oci")
async def test_resource_tags_say_what_is_wrong(registry: InProcess, tags: list[dict[str, str]]) -> None:
    wrong = ("InvalidTagParameterException", "Tag parameters are invalid")
    assert (await registry.ecr("TagResource", resourceArn=ARN, tags=tags)).error == wrong
    assert (await registry.ecr("CreateRepository", repositoryName="team/other", tags=tags)).error == wrong
    assert (await registry.ok("ListTagsForResource", resourceArn=ARN))["tags"] == []
    assert len((await registry.ok("DescribeRepositories"))["repositories"]) == 1


@pytest.mark.usefixtures("registry")
async def test_annotations_may_hold_what_json_can_write(oci: AsgiClient) -> None:
    put = await oci("PUT", f"/v2/{NAME}/manifests/noted", MANIFEST.encode(), content_type="")
    assert put.status == 201, put
    shown = (await oci("GET", f"/v2/{NAME}/referrers/{DIGEST}")).json["manifests"]
    assert shown[0]["annotations"] == {"a\0": "b\0"}


@pytest.mark.parametrize(
    "path",
    [
        "/v2/team/app%00/tags/list",
        "/v2/team/app/tags/list?last=%00",
        "/v2/_catalog?last=%00",
        "/v2/team/app/manifests/v1%00",
        "/v2/team/app/manifests/sha256:%00",
        "/v2/team/app/blobs/sha256:%00",
        "/v2/team/app/blobs/uploads/%00",
        f"/v2/team/app/referrers/{DIGEST}?artifactType=%00",
        f"/v2/team/app/referrers/{DIGEST}?after=%00",
        "/v2/team/app/tags/list?last=%ed%a0%80",
        f"/v2/team/app/referrers/{DIGEST}?artifactType=%ed%a0%80",
    ],
)
async def test_at_the_data_plane(oci: AsgiClient, path: str) -> None:
    for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
        answer = await oci(method, path, b"x")
        assert answer.status < 500, answer


@pytest.mark.usefixtures("registry")
async def test_in_what_a_client_says_of_itself(oci: AsgiClient) -> None:
    for noise in ("\x01\x7f", "é" * 300, "\x80"):
        answer = await oci("GET", f"/v2/{NAME}/tags/list", user_agent=noise, referer=noise)
        assert answer.status == 200, answer
