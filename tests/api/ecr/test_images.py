"""A push and a pull through the ECR API alone: layers, parts, manifests, lists."""

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.api.ecr.conftest import ACCOUNT, Ecr

MIB = 1 << 20
LAYER = b"a layer of some bytes"
CONFIG = b'{"architecture":"amd64","os":"linux"}'
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(*layers: bytes) -> str:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(CONFIG),
                "digest": digest_of(CONFIG),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(layer),
                    "digest": digest_of(layer),
                }
                for layer in layers
            ],
        }
    )


async def part(ecr: Ecr, upload: str, first: int, content: bytes, *, refused: bool = False) -> Any:
    call = ecr.refused if refused else ecr.ok
    return await call(
        "UploadLayerPart",
        repositoryName="app",
        uploadId=upload,
        partFirstByte=first,
        partLastByte=first + len(content) - 1,
        layerPartBlob=base64.b64encode(content).decode(),
    )


async def push_layer(ecr: Ecr, content: bytes) -> None:
    upload = (await ecr.ok("InitiateLayerUpload", repositoryName="app"))["uploadId"]
    await part(ecr, upload, 0, content)
    await ecr.ok("CompleteLayerUpload", repositoryName="app", uploadId=upload, layerDigests=[digest_of(content)])


async def push(ecr: Ecr, *tags: str) -> str:
    """An image of two blobs under each tag; its manifest."""
    for blob in (LAYER, CONFIG):
        await push_layer(ecr, blob)
    text = manifest(LAYER)
    for tag in tags:
        await ecr.ok("PutImage", repositoryName="app", imageManifest=text, imageTag=tag)
    return text


@pytest.fixture(autouse=True)
async def repository(ecr: Ecr) -> None:
    await ecr.ok("CreateRepository", repositoryName="app")


async def test_a_layer_in_parts(ecr: Ecr) -> None:
    begun = await ecr.ok("InitiateLayerUpload", repositoryName="app")
    assert begun["partSize"] == 10 * MIB
    upload, content = begun["uploadId"], bytes(range(256)) * 4096 * 6
    first = await part(ecr, upload, 0, content[: 5 * MIB])
    assert first == {
        "lastByteReceived": 5 * MIB - 1,
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "uploadId": upload,
    }
    kind, _ = await part(ecr, upload, 5 * MIB + 1, content[5 * MIB + 1 :], refused=True)
    assert kind == "InvalidLayerPartException"
    await part(ecr, upload, 5 * MIB, content[5 * MIB :])
    kind, _ = await ecr.refused(
        "CompleteLayerUpload", repositoryName="app", uploadId=upload, layerDigests=[digest_of(b"other")]
    )
    assert kind == "InvalidLayerException"
    done = await ecr.ok("CompleteLayerUpload", repositoryName="app", uploadId=upload, layerDigests=[digest_of(content)])
    assert done["layerDigest"] == digest_of(content)


async def test_an_upload_without_any_byte_has_no_last_valid_byte(ecr: Ecr) -> None:
    """`lastValidByteReceived` is a PartSize, at least 0 in the model: before the first byte there is none to name."""
    upload = (await ecr.ok("InitiateLayerUpload", repositoryName="app"))["uploadId"]
    refused = {"repositoryName": "app", "uploadId": upload, "layerPartBlob": base64.b64encode(b"late").decode()}
    for first, last in ((5, 8), (0, 8)):
        body = json.dumps({**refused, "partFirstByte": first, "partLastByte": last}).encode()
        status, text = await ecr.raw("UploadLayerPart", body)
        answer = json.loads(text)
        assert (status, answer["__type"]) == (400, "InvalidLayerPartException")
        assert sorted(answer) == ["__type", "message", "registryId", "repositoryName", "uploadId"]
    await part(ecr, upload, 0, b"first")


async def test_a_manifest_whose_media_type_nobody_names_is_refused(ecr: Ecr) -> None:
    for blob in (LAYER, CONFIG):
        await push_layer(ecr, blob)
    image = json.loads(manifest(LAYER))
    del image["mediaType"]
    index = {"schemaVersion": 2, "manifests": []}
    first = {"schemaVersion": 1, "fsLayers": [{"blobSum": digest_of(LAYER)}]}
    for document in (image, index, first):
        assert await ecr.refused("PutImage", repositoryName="app", imageManifest=json.dumps(document)) == (
            "InvalidParameterException",
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
        )
    assert (await ecr.ok("ListImages", repositoryName="app"))["imageIds"] == []
    for media_type in (DOCKER, "application/vnd.oci.image.manifest.v1+json"):
        text = json.dumps(image | {"annotations": {"for": media_type}})
        put = await ecr.ok(
            "PutImage", repositoryName="app", imageManifest=text, imageManifestMediaType=media_type, imageTag="v1"
        )
        assert put["image"]["imageManifestMediaType"] == media_type


async def test_the_bodys_limit_is_the_parts(ecr: Ecr) -> None:
    upload = (await ecr.ok("InitiateLayerUpload", repositoryName="app"))["uploadId"]
    await part(ecr, upload, 0, bytes(20 * MIB))
    status, _ = await ecr.raw("UploadLayerPart", b'{"x":"' + b"a" * (28 * MIB) + b'"}')
    assert status == 413


async def test_an_unknown_upload(ecr: Ecr) -> None:
    kind, _ = await part(ecr, "00000000-0000-0000-0000-000000000000", 0, b"x", refused=True)
    assert kind == "UploadNotFoundException"
    kind, message = await part(ecr, "../../etc/passwd", 0, b"x", refused=True)
    assert kind == "InvalidParameterException"
    assert "'uploadId'" in message


async def test_availability(ecr: Ecr) -> None:
    await push_layer(ecr, LAYER)
    answer = await ecr.ok(
        "BatchCheckLayerAvailability",
        repositoryName="app",
        layerDigests=[digest_of(LAYER), digest_of(b"none"), "malformed", ""],
    )
    assert [layer["layerAvailability"] for layer in answer["layers"]] == ["AVAILABLE", "UNAVAILABLE"]
    assert answer["layers"][0]["layerSize"] == len(LAYER)
    assert sorted(answer["layers"][1]) == ["layerAvailability", "layerDigest"]
    assert [each["failureCode"] for each in answer["failures"]] == ["InvalidLayerDigest", "MissingLayerDigest"]


async def test_push_and_pull(ecr: Ecr) -> None:
    text = await push(ecr, "v1")
    again = await ecr.refused("PutImage", repositoryName="app", imageManifest=text, imageTag="v1")
    assert again[0] == "ImageAlreadyExistsException"
    answer = await ecr.ok("BatchGetImage", repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}, {}])
    image_id = {"imageDigest": digest_of(text.encode()), "imageTag": "v1"}
    assert answer["images"] == [
        {
            "imageId": image_id,
            "imageManifest": text,
            "imageManifestMediaType": DOCKER,
            "registryId": ACCOUNT,
            "repositoryName": "app",
        }
    ]
    assert answer["failures"] == [
        {
            "failureCode": "ImageNotFound",
            "failureReason": "Requested image not found",
            "imageId": {"imageTag": "v2"},
        },
        {
            "failureCode": "MissingDigestAndTag",
            "failureReason": "Invalid request parameters: both tag and digest cannot be null",
            "imageId": {},
        },
    ]
    url = await ecr.ok("GetDownloadUrlForLayer", repositoryName="app", layerDigest=digest_of(LAYER))
    assert url == {
        "downloadUrl": f"http://localhost:4580/v2/{ACCOUNT}/us-east-1/app/blobs/{digest_of(LAYER)}?token=sealed",
        "layerDigest": digest_of(LAYER),
    }


async def test_layers_that_cannot_be_downloaded(ecr: Ecr) -> None:
    await push_layer(ecr, LAYER)
    for layer, error in ((digest_of(LAYER), "LayerInaccessible"), (digest_of(b"x"), "LayersNotFound")):
        kind, _ = await ecr.refused("GetDownloadUrlForLayer", repositoryName="app", layerDigest=layer)
        assert kind == f"{error}Exception"
    kind, _ = await ecr.refused("GetDownloadUrlForLayer", repositoryName="app", layerDigest="md5:abcd")
    assert kind == "LayersNotFoundException"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"imageManifest": "not json"}, "InvalidParameterException"),
        ({"imageManifest": manifest(b"missing")}, "LayersNotFoundException"),
        ({"imageManifest": manifest(LAYER), "imageTag": "bad tag"}, "InvalidParameterException"),
        ({"imageManifest": manifest(LAYER), "imageDigest": digest_of(b"")}, "ImageDigestDoesNotMatchException"),
    ],
)
async def test_images_that_cannot_be_put(ecr: Ecr, members: dict[str, str], error: str) -> None:
    await push_layer(ecr, LAYER)
    await push_layer(ecr, CONFIG)
    kind, _ = await ecr.refused("PutImage", repositoryName="app", **members)
    assert kind == error
    assert await ecr.ok("ListImages", repositoryName="app") == {"imageIds": []}


async def test_lists(ecr: Ecr) -> None:
    text = await push(ecr, "v1", "v2", "v3")
    digest = digest_of(text.encode())
    seen: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = await ecr.ok("ListImages", repositoryName="app", maxResults=2, **token)
        seen += page["imageIds"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert seen == [{"imageDigest": digest, "imageTag": tag} for tag in ("v1", "v2", "v3")]
    untagged = await ecr.ok("ListImages", repositoryName="app", filter={"tagStatus": "UNTAGGED"})
    assert untagged == {"imageIds": []}
    archived = await ecr.ok("ListImages", repositoryName="app", filter={"imageStatus": "ARCHIVED"})
    assert archived == {"imageIds": []}


async def test_describe(ecr: Ecr) -> None:
    text = await push(ecr, "v1", "v2")
    digest = digest_of(text.encode())
    listed = (await ecr.ok("DescribeImages", repositoryName="app"))["imageDetails"]
    asked = await ecr.ok("DescribeImages", repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageDigest": digest}])
    assert asked["imageDetails"] == listed
    (detail,) = listed
    assert isinstance(detail.pop("imagePushedAt"), float)
    assert detail == {
        "artifactMediaType": "application/vnd.docker.container.image.v1+json",
        "imageDigest": digest,
        "imageManifestMediaType": DOCKER,
        "imageSizeInBytes": len(LAYER) + len(CONFIG),
        "imageStatus": "ACTIVE",
        "imageTags": ["v1", "v2"],
        "registryId": ACCOUNT,
        "repositoryName": "app",
    }
    assert await ecr.refused("DescribeImages", repositoryName="app", imageIds=[{"imageTag": "none"}]) == (
        "ImageNotFoundException",
        "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name "
        f"'app' in the registry with id '{ACCOUNT}'",
    )
    kind, _ = await ecr.refused("DescribeImages", repositoryName="app", imageIds=[{"imageTag": "v1"}], maxResults=1)
    assert kind == "InvalidParameterException"


async def test_delete(ecr: Ecr) -> None:
    text = await push(ecr, "v1", "v2")
    digest = digest_of(text.encode())
    answer = await ecr.ok("BatchDeleteImage", repositoryName="app", imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}])
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageNotFound"]
    answer = await ecr.ok("BatchDeleteImage", repositoryName="app", imageIds=[{"imageDigest": digest}])
    assert answer == {"failures": [], "imageIds": [{"imageDigest": digest, "imageTag": "v2"}]}
    assert await ecr.ok("ListImages", repositoryName="app") == {"imageIds": []}


async def test_a_repository_with_images_is_deleted_only_by_force(ecr: Ecr) -> None:
    await push(ecr, "v1")
    assert (await ecr.refused("DeleteRepository", repositoryName="app"))[0] == "RepositoryNotEmptyException"
    await ecr.ok("DeleteRepository", repositoryName="app", force=True)
