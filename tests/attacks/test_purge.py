"""What `moorage purge` destroyed is refused by every way to the bytes, from the next request on."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from moorage.settings import Settings
from tests.registry.pushing import digest_of, index, manifest
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import AsgiClient

APP = "team/app"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SMALL, LARGE = b"a secret", b"a secret" * 20_000
"""Kept in the metadata, kept as a file."""


@pytest.fixture
async def registry(database_settings: Settings) -> AsyncIterator[InProcess]:
    async with in_process(replace(database_settings, mode="dev")) as made:
        await made.ok("CreateRepository", repositoryName=APP)
        yield made


@pytest.fixture
async def oci(registry: InProcess) -> AsgiClient:
    return await registry.oci()


async def moorage(registry: InProcess, call: str, **members: str) -> str:
    """A call of the administration API: what it says."""
    scope = "test/20260101/us-east-1/moorage/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    body = json.dumps(members).encode()
    reply = await registry.ask("", body, path=f"/_moorage/{call}", authorization=signed)
    assert reply.status == 200, reply
    return str(reply.json["text"])


async def push(oci: AsgiClient, config: bytes, *layers: bytes, **more: object) -> str:
    """Push an image of these blobs by digest; its digest."""
    for blob in (config, *layers):
        put = await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(blob)}", blob)
        assert put.status == 201, put
    text = manifest(config, *layers, **more)
    put = await oci("PUT", f"/v2/{APP}/manifests/{digest_of(text)}", text, content_type=MANIFEST)
    assert put.status == 201, put
    return digest_of(text)


async def push_index(oci: AsgiClient, *children: str) -> str:
    text = index(*((child, 1) for child in children))
    put = await oci("PUT", f"/v2/{APP}/manifests/{digest_of(text)}", text, content_type=INDEX)
    assert put.status == 201, put
    return digest_of(text)


async def delete(registry: InProcess, *digests: str) -> None:
    for digest in digests:
        await registry.ok("BatchDeleteImage", repositoryName=APP, imageIds=[{"imageDigest": digest}])


async def purge(registry: InProcess, digest: str) -> str:
    return await moorage(registry, "purge", repository=APP, digest=digest)


async def ways(registry: InProcess, oci: AsgiClient, blob: bytes, url: str | None = None) -> list[bool]:
    """Whether HEAD, GET, a mount, both operations of the ECR API and a download URL of before give the blob away."""
    digest = digest_of(blob)
    path = f"/v2/{APP}/blobs/{digest}"
    head, get = await oci("HEAD", path), await oci("GET", path)
    mounted = await oci("POST", f"/v2/team/thief/blobs/uploads/?mount={digest}&from={APP}")
    searched = await oci("POST", f"/v2/team/thief/blobs/uploads/?mount={digest}")
    asked = await registry.ok("BatchCheckLayerAvailability", repositoryName=APP, layerDigests=[digest])
    link = await registry.ecr("GetDownloadUrlForLayer", repositoryName=APP, layerDigest=digest)
    found = [
        head.status == 200,
        get.status == 200,
        mounted.status == 201,
        searched.status == 201,
        asked["layers"][0]["layerAvailability"] == "AVAILABLE",
        link.status == 200,
    ]
    if url is not None:
        found.append((await oci.as_user(None)("GET", url)).status == 200)
    return found


async def url_of(registry: InProcess, blob: bytes) -> str:
    answer = await registry.ok("GetDownloadUrlForLayer", repositoryName=APP, layerDigest=digest_of(blob))
    return "/" + str(answer["downloadUrl"]).partition("://")[2].partition("/")[2]


@pytest.mark.parametrize("layer", [SMALL, LARGE], ids=["small", "file"])
async def test_no_way_leads_to_the_bytes_of_a_purged_image(registry: InProcess, oci: AsgiClient, layer: bytes) -> None:
    digest = await push(oci, b"config", layer)
    await registry.ok("CreateRepository", repositoryName="team/thief")
    urls = {blob: await url_of(registry, blob) for blob in (b"config", layer)}
    assert (await oci.as_user(None)("GET", urls[layer])).status == 200
    await delete(registry, digest)
    await purge(registry, digest)
    for blob, url in urls.items():
        assert not any(await ways(registry, oci, blob, url))
    assert (await oci("GET", f"/v2/{APP}/manifests/{digest}")).status == 404


async def test_what_other_images_need_stays(registry: InProcess, oci: AsgiClient) -> None:
    purged = await push(oci, b"config", b"own", b"shared with the living", b"shared with the trash")
    await push(oci, b"config", b"shared with the living")
    trashed = await push(oci, b"other config", b"shared with the trash")
    fresh = b"of a push under way"
    await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(fresh)}", fresh)
    await delete(registry, trashed, purged)
    await purge(registry, purged)
    for blob in (b"config", b"shared with the living", b"shared with the trash", b"other config", fresh):
        assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(blob)}")).body == blob
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(b'own')}")).status == 404
    await moorage(registry, "restore", repository=APP, digest=trashed)
    await delete(registry, trashed)
    await purge(registry, trashed)
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(b'shared with the trash')}")).status == 404


async def test_an_index_goes_with_the_deleted_images_that_only_it_names(registry: InProcess, oci: AsgiClient) -> None:
    own, deep, kept, shared = [await push(oci, b"config", seed) for seed in (b"own", b"deep", b"kept", b"shared")]
    inner = await push_index(oci, deep)
    whole = await push_index(oci, own, kept, shared, inner)
    other = await push_index(oci, shared)
    await delete(registry, whole, other, own, shared, inner, deep)
    assert await purge(registry, whole) == f"{APP}@{whole} is destroyed, with 3 deleted images that only it named"
    for gone in (b"own", b"deep"):
        assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(gone)}")).status == 404
    for stays in (b"config", b"kept", b"shared"):
        assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(stays)}")).status == 200
    assert (await oci("GET", f"/v2/{APP}/manifests/{kept}")).status == 200
    await moorage(registry, "restore", repository=APP, digest=other)
    assert (await oci("GET", f"/v2/{APP}/manifests/{shared}")).status == 200


async def test_referrers_are_images_of_their_own(registry: InProcess, oci: AsgiClient) -> None:
    subject = await push(oci, b"config", b"layer")
    named = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    signature = await push(oci, b"{}", b"signature", subject=named)
    await delete(registry, subject)
    await purge(registry, subject)
    assert (await oci("GET", f"/v2/{APP}/manifests/{signature}")).status == 200
    await delete(registry, signature)
    await purge(registry, signature)
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(b'signature')}")).status == 404


async def test_a_purged_repository_leaves_nothing(registry: InProcess, oci: AsgiClient) -> None:
    await push(oci, b"config", SMALL, LARGE)
    await registry.ok("CreateRepository", repositoryName="team/thief")
    urls = {blob: await url_of(registry, blob) for blob in (b"config", SMALL, LARGE)}
    begun = await oci("POST", f"/v2/{APP}/blobs/uploads/")
    await oci("PATCH", begun.headers["location"], LARGE)
    uploads = registry.settings.data / "blobs" / "uploads"
    assert len(list(uploads.iterdir())) == 1
    await registry.ok("DeleteRepository", repositoryName=APP, force=True)
    await moorage(registry, "purge", repository=APP)
    assert list(uploads.iterdir()) == []
    await registry.ok("CreateRepository", repositoryName=APP)
    for blob, url in urls.items():
        assert not any(await ways(registry, oci, blob, url))
    assert (await oci("GET", begun.headers["location"])).status == 404


async def test_pushed_again_it_is_there_again(registry: InProcess, oci: AsgiClient) -> None:
    digest = await push(oci, b"config", LARGE)
    await delete(registry, digest)
    await purge(registry, digest)
    text = manifest(b"config", LARGE)
    put: Any = await oci("PUT", f"/v2/{APP}/manifests/{digest}", text, content_type=MANIFEST)
    assert (put.status, put.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert await push(oci, b"config", LARGE) == digest
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest_of(LARGE)}")).body == LARGE
