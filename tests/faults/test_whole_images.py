"""No client can break an image that lives or can be restored, and what is broken already is not acknowledged again."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from moorage.store.metadata.tables import layers
from tests.api.oci.client import Answer, Client
from tests.inside import Inside, Reply
from tests.registry.pushing import digest_of, index, manifest

APP = "team/app"
CONFIG, LAYER = b"config", b"layer"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TEXT = manifest(CONFIG, LAYER)
IMAGE = digest_of(TEXT)


@pytest.fixture
async def registry(registry_on_each: Inside) -> Inside:
    await registry_on_each.ok("CreateRepository", repositoryName=APP)
    return registry_on_each


@pytest.fixture
async def plane(registry: Inside) -> Client:
    return await registry.plane()


async def put_blob(plane: Client, content: bytes) -> None:
    put = await plane("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(content)}", content)
    assert put.status == 201, put


async def put_manifest(plane: Client, reference: str, text: bytes = TEXT, media_type: str = MANIFEST) -> Answer:
    return await plane("PUT", f"/v2/{APP}/manifests/{reference}", text, content_type=media_type)


async def push(plane: Client, tag: str = "v1") -> None:
    for content in (CONFIG, LAYER):
        await put_blob(plane, content)
    assert (await put_manifest(plane, tag)).status == 201


async def delete_blob(plane: Client, content: bytes) -> Answer:
    return await plane("DELETE", f"/v2/{APP}/blobs/{digest_of(content)}")


async def status_of(plane: Client, content: bytes) -> int:
    return (await plane("HEAD", f"/v2/{APP}/blobs/{digest_of(content)}")).status


async def pulls(plane: Client, reference: str = "v1") -> bool:
    """Whether the image and everything that it names can be pulled."""
    got = await plane("GET", f"/v2/{APP}/manifests/{reference}")
    if got.status != 200:
        return False
    blobs = [await plane("GET", f"/v2/{APP}/blobs/{digest_of(content)}") for content in (CONFIG, LAYER)]
    return [blob.body for blob in blobs] == [CONFIG, LAYER]


async def restore(registry: Inside, **what: str) -> Reply:
    scope = "test/20260101/us-east-1/moorage/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    body = json.dumps({"repository": APP, **what}).encode()
    return await registry.ask("", body, path="/_moorage/restore", authorization=signed)


async def lose(registry: Inside, *contents: bytes) -> None:
    """Take the memberships away, as an earlier release did on a DELETE of the blobs."""

    def work(conn: Connection) -> None:
        conn.execute(delete(layers).where(layers.c.digest.in_([digest_of(content) for content in contents])))

    running: Any = registry.application._running
    await running.components.database.transaction(work)


@pytest.mark.parametrize("content", [CONFIG, LAYER], ids=["config", "layer"])
async def test_a_blob_of_a_living_image_is_not_deleted(plane: Client, content: bytes) -> None:
    await push(plane)
    refused = await delete_blob(plane, content)
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    assert refused.headers["allow"] == "GET, HEAD"
    assert digest_of(content) in refused.message
    assert IMAGE in refused.message
    assert await pulls(plane)


async def test_a_blob_that_an_index_names_is_not_deleted(plane: Client) -> None:
    """BuildKit's cache is an index of layers."""
    await put_blob(plane, LAYER)
    text = index((digest_of(LAYER), len(LAYER)), media_type="application/vnd.oci.image.layer.v1.tar")
    assert (await put_manifest(plane, "cache", text, INDEX)).status == 201
    assert (await delete_blob(plane, LAYER)).status == 405
    assert await status_of(plane, LAYER) == 200


async def test_a_blob_that_only_a_deleted_image_names_is_gone_until_the_image_is_restored(
    registry: Inside, plane: Client
) -> None:
    await push(plane)
    assert (await plane("DELETE", f"/v2/{APP}/manifests/{IMAGE}")).status == 202
    for content in (CONFIG, LAYER):
        assert (await delete_blob(plane, content)).status == 202
        assert await status_of(plane, content) == 404
        assert (await delete_blob(plane, content)).status == 404
    asked = await registry.ok("BatchCheckLayerAvailability", repositoryName=APP, layerDigests=[digest_of(LAYER)])
    assert [each["layerAvailability"] for each in asked["layers"]] == ["UNAVAILABLE"]
    mounted = await plane("POST", f"/v2/team/other/blobs/uploads/?mount={digest_of(LAYER)}&from={APP}")
    assert mounted.status == 202
    assert (await put_manifest(plane, "v2")).status == 404
    assert (await restore(registry, digest=IMAGE)).status == 200
    assert await pulls(plane)


@pytest.mark.usefixtures("registry")
async def test_a_deleted_blob_that_is_uploaded_again_is_there(plane: Client) -> None:
    await push(plane)
    assert (await plane("DELETE", f"/v2/{APP}/manifests/{IMAGE}")).status == 202
    for content in (CONFIG, LAYER):
        assert (await delete_blob(plane, content)).status == 202
    await push(plane)
    assert await pulls(plane)


@pytest.mark.parametrize("tag", ["v1", "v2"])
async def test_a_living_image_without_its_layer_is_not_pushed_again(registry: Inside, plane: Client, tag: str) -> None:
    await push(plane)
    await lose(registry, LAYER)
    refused = await put_manifest(plane, tag)
    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    reply = await registry.ecr("PutImage", repositoryName=APP, imageManifest=TEXT.decode(), imageTag=tag)
    assert reply.error[0] == "LayersNotFoundException"
    await put_blob(plane, LAYER)
    assert (await put_manifest(plane, tag)).status == 201
    assert await pulls(plane, tag)


@pytest.mark.parametrize("by", ["digest", "tag"])
async def test_a_deleted_image_whose_layers_are_lost_is_not_restored(registry: Inside, plane: Client, by: str) -> None:
    await push(plane)
    await registry.ok("BatchDeleteImage", repositoryName=APP, imageIds=[{"imageDigest": IMAGE}])
    await lose(registry, CONFIG, LAYER)
    refused = await restore(registry, **{by: {"digest": IMAGE, "tag": "v1"}[by]})
    assert refused.status == 400, refused
    for content in (CONFIG, LAYER):
        assert digest_of(content) in str(refused.json)
    assert (await plane("GET", f"/v2/{APP}/manifests/{IMAGE}")).status == 404
    await put_blob(plane, CONFIG)
    await put_blob(plane, LAYER)
    assert (await restore(registry, **{by: {"digest": IMAGE, "tag": "v1"}[by]})).status == 200
    assert await pulls(plane)


async def test_a_foreign_layer_keeps_no_image_from_coming_back(registry: Inside, plane: Client) -> None:
    document = json.loads(TEXT)
    document["layers"].append(
        {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest_of(b"at its vendor"),
            "size": 13,
            "urls": ["https://example.com/layer"],
        }
    )
    text = json.dumps(document).encode()
    for content in (CONFIG, LAYER):
        await put_blob(plane, content)
    for _ in range(2):
        assert (await put_manifest(plane, "v1", text)).status == 201
    assert (await plane("DELETE", f"/v2/{APP}/manifests/{digest_of(text)}")).status == 202
    assert (await restore(registry, digest=digest_of(text))).status == 200
