"""Bad input at the doors of the whole application: the exact error, and nothing changed by it."""

import asyncio
import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.api.asgi import LINGER_BYTES
from tests.support.ecr_push import MANIFEST, digest
from tests.support.in_process import InProcess
from tests.support.oci_asgi import AsgiClient

APP = "team/app"
MIB = 1 << 20
LARGE = bytes(5 * MIB)
"""As long as every part but the last has to be."""


@pytest.fixture
async def oci(registry: InProcess) -> AsgiClient:
    """The data plane, with the empty repository `team/app`."""
    await registry.ok("CreateRepository", repositoryName=APP)
    return await registry.oci()


async def begin(registry: InProcess, key: str = "test", repository: str = APP) -> str:
    answer = await registry.ok("InitiateLayerUpload", key=key, repositoryName=repository)
    return str(answer["uploadId"])


def part(upload: str, first: int, content: bytes, last: int | None = None) -> dict[str, Any]:
    return {
        "repositoryName": APP,
        "uploadId": upload,
        "partFirstByte": first,
        "partLastByte": first + len(content) - 1 if last is None else last,
        "layerPartBlob": base64.b64encode(content).decode(),
    }


async def layers(registry: InProcess, *contents: bytes) -> list[str]:
    checked = await registry.ok(
        "BatchCheckLayerAvailability", repositoryName=APP, layerDigests=[digest(each) for each in contents]
    )
    return [each["layerAvailability"] for each in checked["layers"]]


def kept(registry: InProcess) -> list[Path]:
    """Every file of blobs and uploads."""
    return sorted(file for file in (registry.settings.data / "blobs").rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"null", "SerializationException"),
        (b"[]", "SerializationException"),
        (b'"text"', "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"repositoryName": 7}', "SerializationException"),
        (b'{"repositoryName": ["team/app"]}', "SerializationException"),
        (b'{"repositoryName": "team/app", "maxResults": "many"}', "SerializationException"),
        (b'{"repositoryName": "team/app", "maxResults": 1e400}', "SerializationException"),
        (b'{"repositoryName": null}', "InvalidParameterException"),
        (b"{}", "InvalidParameterException"),
        (b"", "InvalidParameterException"),
    ],
)
@pytest.mark.usefixtures("oci")
async def test_bodies_that_are_no_request(registry: InProcess, body: bytes, code: str) -> None:
    reply = await registry.ask("ListImages", body)
    assert (reply.status, reply.error[0]) == (400, code)


async def test_of_several_violations_the_first_of_the_model_is_named(registry: InProcess) -> None:
    bad: dict[str, Any] = {
        "imageTagMutability": "SOMETIMES",
        "tags": [{"Value": "v"}],
        "repositoryName": "UPPER",
        "registryId": "1",
    }
    code, message = (await registry.ecr("CreateRepository", **bad)).error
    assert code == "InvalidParameterException"
    assert message == (
        "Invalid parameter at 'registryId' failed to satisfy constraint: "
        "'Member must satisfy regular expression pattern: [0-9]{12}'"
    )
    code, message = (await registry.ecr("PutAccountSetting", name="", registryId=1)).error
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: Value '' at 'name' failed to satisfy constraint: ")
    assert (await registry.ok("DescribeRepositories"))["repositories"] == []


async def test_unknown_members_are_passed_over(registry: InProcess) -> None:
    await registry.ok("CreateRepository", repositoryName=APP, unknown={"deep": [1]}, imageTagMutability=None)
    assert len((await registry.ok("DescribeRepositories", unknown="x"))["repositories"]) == 1


@pytest.mark.parametrize("target", ["NoSuchOperation", "describeRepositories", "", "DescribeRepositories.x"])
async def test_operations_that_are_none(registry: InProcess, target: str) -> None:
    reply = await registry.ask(target, b"{}")
    assert (reply.status, reply.error[0]) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "a/../../b", "/etc/passwd", "a//b", ".", "..", "a/..", "%2e%2e/x", "a\\..\\b", "A" * 300]
)
async def test_names_that_climb(registry: InProcess, oci: AsgiClient, name: str) -> None:
    reply = await registry.ecr("CreateRepository", repositoryName=name)
    assert (reply.status, reply.error[0]) == (400, "InvalidParameterException")
    before = kept(registry)
    for method, path in (
        ("GET", f"/v2/{name}/manifests/v1"),
        ("PUT", f"/v2/{name}/manifests/v1"),
        ("POST", f"/v2/{name}/blobs/uploads/"),
        ("GET", f"/v2/{name}/tags/list"),
    ):
        answer = await oci(method, path, b"x")
        assert answer.status in {400, 404, 405}, answer
    assert kept(registry) == before
    assert [each["repositoryName"] for each in (await registry.ok("DescribeRepositories"))["repositories"]] == [APP]


@pytest.mark.parametrize(
    "text",
    [
        "sha256:../../../../etc/passwd",
        "sha256:..%2f..%2fetc%2fpasswd",
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "sha512:" + "0" * 64,
        "md5:" + "0" * 32,
        "../secrets:00",
        ":",
    ],
)
async def test_digests_that_are_none_or_climb(registry: InProcess, oci: AsgiClient, text: str) -> None:
    before = kept(registry)
    for method in ("GET", "HEAD", "DELETE"):
        answer = await oci(method, f"/v2/{APP}/blobs/{text}")
        assert answer.status in {400, 404}, answer
    assert (await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={text}", b"x")).status == 400
    assert (await oci("POST", f"/v2/{APP}/blobs/uploads/?mount={text}&from={APP}")).status == 400
    reply = await registry.ecr("GetDownloadUrlForLayer", repositoryName=APP, layerDigest=text)
    assert reply.error[0] in {"InvalidParameterException", "LayersNotFoundException"}
    assert kept(registry) == before


async def test_upload_ids_that_climb(oci: AsgiClient, registry: InProcess) -> None:
    before = kept(registry)
    for text in ("..", "../../x", "%2e%2e%2fx", "a/b", "x" * 65):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            answer = await oci(method, f"/v2/{APP}/blobs/uploads/{text}?digest={digest(b'x')}", b"x")
            assert answer.status in {400, 404, 405}, (method, text, answer)
    assert kept(registry) == before


async def test_a_digest_that_the_bytes_do_not_have(registry: InProcess, oci: AsgiClient) -> None:
    upload = await begin(registry)
    await registry.ok("UploadLayerPart", **part(upload, 0, b"content"))
    wrong: dict[str, Any] = {"repositoryName": APP, "uploadId": upload, "layerDigests": [digest(b"other")]}
    assert (await registry.ecr("CompleteLayerUpload", **wrong)).error[0] == "InvalidLayerException"
    put = await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest(b'other')}", b"content")
    assert (put.status, put.code) == (400, "DIGEST_INVALID")
    assert await layers(registry, b"content", b"other") == ["UNAVAILABLE", "UNAVAILABLE"]
    await registry.ok("CompleteLayerUpload", **{**wrong, "layerDigests": [digest(b"content")]})
    assert await layers(registry, b"content") == ["AVAILABLE"]


async def test_a_manifest_of_what_is_not_there(registry: InProcess, oci: AsgiClient) -> None:
    absent = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(b"absent"), "size": 6}
    image = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": absent, "layers": [absent]})
    code, message = (await registry.ecr("PutImage", repositoryName=APP, imageManifest=image, imageTag="v1")).error
    assert (code, digest(b"absent") in message) == ("LayersNotFoundException", True)
    put = await oci("PUT", f"/v2/{APP}/manifests/v1", image.encode(), content_type=MANIFEST)
    assert (put.status, put.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert (await registry.ok("ListImages", repositoryName=APP))["imageIds"] == []


@pytest.mark.parametrize(
    ("first", "content", "last"),
    [(0, b"again", None), (3, b"over", None), (9, b"gap", None), (7, b"", 7), (7, b"short", 20), (7, b"long", 8)],
)
@pytest.mark.usefixtures("oci")
async def test_parts_that_overlap_or_leave_gaps_or_lie(
    registry: InProcess, first: int, content: bytes, last: int | None
) -> None:
    upload = await begin(registry)
    await registry.ok("UploadLayerPart", **part(upload, 0, b"content"))
    reply = await registry.ecr("UploadLayerPart", **part(upload, first, content, last))
    assert (reply.status, reply.error[0]) == (400, "InvalidLayerPartException")
    told = {name: reply.json[name] for name in ("registryId", "repositoryName", "uploadId", "lastValidByteReceived")}
    assert told == {
        "registryId": "000000000000",
        "repositoryName": APP,
        "uploadId": upload,
        "lastValidByteReceived": 6,
    }
    await registry.ok("CompleteLayerUpload", repositoryName=APP, uploadId=upload, layerDigests=[digest(b"content")])


async def test_an_upload_of_another_repository_or_account(registry: InProcess, oci: AsgiClient) -> None:
    upload = await begin(registry)
    await registry.ok("UploadLayerPart", **part(upload, 0, b"content"))
    other = "111122223333"
    await registry.ok("CreateRepository", repositoryName="team/other")
    await registry.ok("CreateRepository", key=other, repositoryName=APP)
    for key, repository in (("test", "team/other"), (other, APP)):
        asked = {"repositoryName": repository, "uploadId": upload}
        more = {"partFirstByte": 7, "partLastByte": 7, "layerPartBlob": "eA=="}
        for operation, members in (("UploadLayerPart", more), ("CompleteLayerUpload", {"layerDigests": [digest(b"")]})):
            reply = await registry.ecr(operation, key=key, **asked, **members)
            assert reply.error[0] == "UploadNotFoundException", (operation, reply)
    for user, name in ((oci, "team/other"), (await registry.oci(other), f"{other}/us-east-1/{APP}")):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            answer = await user(method, f"/v2/{name}/blobs/uploads/{upload}?digest={digest(b'content')}", b"x")
            assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN"), answer
    await registry.ok("CompleteLayerUpload", repositoryName=APP, uploadId=upload, layerDigests=[digest(b"content")])


async def test_a_body_cut_off_is_invisible_and_resumed(registry: InProcess, oci: AsgiClient) -> None:
    content = os.urandom(2 * MIB)
    location = (await oci("POST", f"/v2/{APP}/blobs/uploads/")).headers["location"]
    cut = await oci("PATCH", location, [content[:MIB]], cut=True, content_length=str(len(content)))
    assert cut.status == 400
    resumed = (await oci("GET", location)).headers["range"]
    arrived = int(resumed.partition("-")[2]) + 1
    assert 0 < arrived <= MIB
    assert await layers(registry, content) == ["UNAVAILABLE"]
    rest = content[arrived:]
    span = f"{arrived}-{len(content) - 1}"
    assert (await oci("PATCH", location, rest, content_range=span)).status == 202
    assert (await oci("PUT", f"{location}?digest={digest(content)}")).status == 201
    assert (await oci("GET", f"/v2/{APP}/blobs/{digest(content)}")).body == content


@pytest.mark.usefixtures("oci")
async def test_a_part_cut_off_changes_nothing(registry: InProcess) -> None:
    upload = await begin(registry)
    await registry.ok("UploadLayerPart", **part(upload, 0, LARGE))
    whole = json.dumps(part(upload, len(LARGE), b"rest" * 1000)).encode()
    reply = await registry.ask("UploadLayerPart", [whole[:2000]], cut=True, content_length=str(len(whole)))
    assert reply.status == 400
    await registry.ok("UploadLayerPart", **part(upload, len(LARGE), b"rest"))
    done: dict[str, Any] = {"repositoryName": APP, "uploadId": upload, "layerDigests": [digest(LARGE + b"rest")]}
    await registry.ok("CompleteLayerUpload", **done)


async def test_a_manifest_cut_off_is_not_there(registry: InProcess, oci: AsgiClient) -> None:
    text = json.dumps({"schemaVersion": 2, "manifests": [], "annotations": {"a": "b" * 5000}}).encode()
    answer = await oci("PUT", f"/v2/{APP}/manifests/v1", [text[:3000]], cut=True, content_length=str(len(text)))
    assert answer.status == 400
    assert (await registry.ok("ListImages", repositoryName=APP))["imageIds"] == []


class Endless:
    """A body that goes on and on; remembers how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield b" " * (1 << 16)


@pytest.mark.parametrize(
    ("operation", "limit"), [("DescribeRepositories", 2 * MIB), ("PutImage", 9 * MIB), ("UploadLayerPart", 28 * MIB)]
)
async def test_a_body_past_its_limit_is_refused_before_it_is_read_whole(
    registry: InProcess, operation: str, limit: int
) -> None:
    announced = await registry.ask(operation, Endless(), content_length=str(limit * 10))
    assert (announced.status, announced.taken) == (413, 0)
    endless = Endless()
    answer = await registry.ask(operation, endless)
    assert answer.status == 413
    assert answer.taken <= limit
    assert endless.taken <= limit + LINGER_BYTES  # a client that is still sending has to read the answer


async def test_a_manifest_past_its_limit_is_refused_before_it_is_read_whole(oci: AsgiClient) -> None:
    endless = Endless()
    async with asyncio.timeout(30):
        answer = await oci("PUT", f"/v2/{APP}/manifests/v1", endless, content_length=str(1 << 40))
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")
    assert endless.taken <= 40 * MIB  # what a refused client is still listened to


async def test_passwords_that_are_forged_or_old_or_anothers(registry: InProcess, oci: AsgiClient) -> None:
    password = oci.user or ""
    for forged in (password[:-1], f"{password}A", password[::-1], "", ":", "\0", "x" * 5000, password.swapcase()):
        answer = await oci.as_user(forged)("GET", "/v2/")
        assert (answer.status, answer.body) == (401, b"Not Authorized\n")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    url = (await layer_url(registry, oci)).partition("4580")[2]
    token = url.partition("token=")[2]
    assert (await oci.as_user(token)("GET", "/v2/")).status == 401  # a download URL's token is no password
    stranger = oci.as_user(None)
    path = url.partition("?")[0]
    assert (await stranger("GET", url)).status == 200
    assert (await stranger("GET", f"{path}?token={password}")).status == 401
    assert (await stranger("GET", f"{path.replace('team/app', 'team/other')}?token={token}")).status == 401
    assert (await stranger("GET", f"/v2/{APP}/manifests/v1?token={token}")).status == 401
    for seconds, status in ((11 * 3600, 200), (13 * 3600, 403)):
        await advance(registry, seconds)
        late = await oci("GET", "/v2/")
        assert late.status == status
    assert late.message == "Your authorization token has expired. Reauthenticate and try again."
    assert (await stranger("GET", url)).status == 403


async def advance(registry: InProcess, seconds: float) -> None:
    """Set dev mode's clock that far ahead of the true time."""
    body = json.dumps({"now": time.time() + seconds}).encode()
    reply = await registry.ask("", body, path="/_moorage/clock")
    assert reply.status == 200, reply


async def layer_url(registry: InProcess, oci: AsgiClient) -> str:
    for content in (b"{}", b"content"):
        await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest(content)}", content)
    described = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(each), "size": len(each)}
        for each in (b"{}", b"content")
    ]
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    put = await oci("PUT", f"/v2/{APP}/manifests/v1", json.dumps(image).encode(), content_type=MANIFEST)
    assert put.status == 201, put
    asked = await registry.ok("GetDownloadUrlForLayer", repositoryName=APP, layerDigest=digest(b"content"))
    return str(asked["downloadUrl"])
