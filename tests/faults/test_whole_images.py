"""No client can break an image that lives or can be restored, and what is broken already is not acknowledged again."""

import json

import pytest
from sqlalchemy import Connection, delete

from moorage.store.metadata.tables import layers
from tests.registry.pushing import digest_of, index, manifest
from tests.support.in_process import InProcess, Reply
from tests.support.oci_asgi import Answer, AsgiClient

APP = "team/app"
CONFIG, LAYER = b"config", b"layer"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TEXT = manifest(CONFIG, LAYER)
IMAGE = digest_of(TEXT)


@pytest.fixture
async def registry(registry_on_each: InProcess) -> InProcess:
    await registry_on_each.ok("CreateRepository", repositoryName=APP)
    return registry_on_each


@pytest.fixture
async def oci(registry: InProcess) -> AsgiClient:
    return await registry.oci()


async def put_blob(oci: AsgiClient, content: bytes) -> None:
    put = await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(content)}", content)
    assert put.status == 201, put


async def put_manifest(oci: AsgiClient, reference: str, text: bytes = TEXT, media_type: str = MANIFEST) -> Answer:
    return await oci("PUT", f"/v2/{APP}/manifests/{reference}", text, content_type=media_type)


async def push(oci: AsgiClient, tag: str = "v1") -> None:
    for content in (CONFIG, LAYER):
        await put_blob(oci, content)
    assert (await put_manifest(oci, tag)).status == 201


async def delete_blob(oci: AsgiClient, content: bytes) -> Answer:
    return await oci("DELETE", f"/v2/{APP}/blobs/{digest_of(content)}")


async def status_of(oci: AsgiClient, content: bytes) -> int:
    return (await oci("HEAD", f"/v2/{APP}/blobs/{digest_of(content)}")).status


async def pulls(oci: AsgiClient, reference: str = "v1") -> bool:
    """Whether the image and everything that it names can be pulled."""
    got = await oci("GET", f"/v2/{APP}/manifests/{reference}")
    if got.status != 200:
        return False
    blobs = [await oci("GET", f"/v2/{APP}/blobs/{digest_of(content)}") for content in (CONFIG, LAYER)]
    return [blob.body for blob in blobs] == [CONFIG, LAYER]


async def restore(registry: InProcess, **what: str) -> Reply:
    scope = "test/20260101/us-east-1/moorage/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    body = json.dumps({"repository": APP, **what}).encode()
    return await registry.ask("", body, path="/_moorage/restore", authorization=signed)


async def lose(registry: InProcess, *contents: bytes) -> None:
    """Take the memberships away, as an earlier release did on a DELETE of the blobs."""

    def work(conn: Connection) -> None:
        conn.execute(delete(layers).where(layers.c.digest.in_([digest_of(content) for content in contents])))

    await registry.components.database.transaction(work)


@pytest.mark.parametrize("content", [CONFIG, LAYER], ids=["config", "layer"])
async def test_a_blob_of_a_living_image_is_not_deleted(oci: AsgiClient, content: bytes) -> None:
    await push(oci)
    refused = await delete_blob(oci, content)
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    assert refused.headers["allow"] == "GET, HEAD"
    assert digest_of(content) in refused.message
    assert IMAGE in refused.message
    assert await pulls(oci)


async def test_a_blob_that_an_index_names_is_not_deleted(oci: AsgiClient) -> None:
    """BuildKit's cache is an index of layers."""
    await put_blob(oci, LAYER)
    text = index((digest_of(LAYER), len(LAYER)), media_type="application/vnd.oci.image.layer.v1.tar")
    assert (await put_manifest(oci, "cache", text, INDEX)).status == 201
    assert (await delete_blob(oci, LAYER)).status == 405
    assert await status_of(oci, LAYER) == 200


async def test_a_blob_that_only_a_deleted_image_names_is_gone_until_the_image_is_restored(
    registry: InProcess, oci: AsgiClient
) -> None:
    await push(oci)
    assert (await oci("DELETE", f"/v2/{APP}/manifests/{IMAGE}")).status == 202
    for content in (CONFIG, LAYER):
        assert (await delete_blob(oci, content)).status == 202
        assert await status_of(oci, content) == 404
        assert (await delete_blob(oci, content)).status == 404
    asked = await registry.ok("BatchCheckLayerAvailability", repositoryName=APP, layerDigests=[digest_of(LAYER)])
    assert [each["layerAvailability"] for each in asked["layers"]] == ["UNAVAILABLE"]
    mounted = await oci("POST", f"/v2/team/other/blobs/uploads/?mount={digest_of(LAYER)}&from={APP}")
    assert mounted.status == 202
    assert (await put_manifest(oci, "v2")).status == 404
    assert (await restore(registry, digest=IMAGE)).status == 200
    assert await pulls(oci)


@pytest.mark.usefixtures("registry")
async def test_a_deleted_blob_that_is_uploaded_again_is_there(oci: AsgiClient) -> None:
    await push(oci)
    assert (await oci("DELETE", f"/v2/{APP}/manifests/{IMAGE}")).status == 202
    for content in (CONFIG, LAYER):
        assert (await delete_blob(oci, content)).status == 202
    await push(oci)
    assert await pulls(oci)


@pytest.mark.parametrize("tag", ["v1", "v2"])
async def test_a_living_image_without_its_layer_is_not_pushed_again(
    registry: InProcess, oci: AsgiClient, tag: str
) -> None:
    await push(oci)
    await lose(registry, LAYER)
    refused = await put_manifest(oci, tag)
    assert (refused.status, refused.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    reply = await registry.ecr("PutImage", repositoryName=APP, imageManifest=TEXT.decode(), imageTag=tag)
    assert reply.error[0] == "LayersNotFoundException"
    await put_blob(oci, LAYER)
    assert (await put_manifest(oci, tag)).status == 201
    assert await pulls(oci, tag)


@pytest.mark.parametrize("by", ["digest", "tag"])
async def test_a_deleted_image_whose_layers_are_lost_is_not_restored(
    registry: InProcess, oci: AsgiClient, by: str
) -> None:
    await push(oci)
    await registry.ok("BatchDeleteImage", repositoryName=APP, imageIds=[{"imageDigest": IMAGE}])
    await lose(registry, CONFIG, LAYER)
    refused = await restore(registry, **{by: {"digest": IMAGE, "tag": "v1"}[by]})
    assert refused.status == 400, refused
    for content in (CONFIG, LAYER):
        assert digest_of(content) in str(refused.json)
    assert (await oci("GET", f"/v2/{APP}/manifests/{IMAGE}")).status == 404
    await put_blob(oci, CONFIG)
    await put_blob(oci, LAYER)
    assert (await restore(registry, **{by: {"digest": IMAGE, "tag": "v1"}[by]})).status == 200
    assert await pulls(oci)


async def test_a_foreign_layer_keeps_no_image_from_coming_back(registry: InProcess, oci: AsgiClient) -> None:
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
        await put_blob(oci, content)
    for _ in range(2):
        assert (await put_manifest(oci, "v1", text)).status == 201
    assert (await oci("DELETE", f"/v2/{APP}/manifests/{digest_of(text)}")).status == 202
    assert (await restore(registry, digest=digest_of(text))).status == 200
