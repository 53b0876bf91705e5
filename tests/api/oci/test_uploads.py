"""Uploads in one request and in many, resumed, canceled, cut off; mounts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.store.blobs.memory import MemoryBlobStore
from tests.api.oci.conftest import MakeOciApi, OciApi, ref, sha256
from tests.support.oci_asgi import Answer

CONTENT = bytes(range(250)) * 8  # 2000 bytes


@pytest.fixture(params=["files", "memory", "tiny parts"])
async def oci(make_oci: MakeOciApi, tmp_path: Path, request: pytest.FixtureRequest) -> OciApi:
    """Profile oci, with the empty repository `app`: layers in the metadata, in memory, or there in parts of 7 bytes."""
    if request.param == "files":
        made: OciApi = await make_oci()
    else:
        blobs = MemoryBlobStore(tmp_path / "locks")
        if request.param == "tiny parts":
            blobs.part_size = 7
        made = await make_oci(blobs=blobs, small_layer_bytes=0)
    await made.create("app")
    return made


async def begin(oci: OciApi, name: str = "app") -> str:
    answer = await oci.client("POST", f"/v2/{name}/blobs/uploads/")
    assert (answer.status, answer.headers["range"]) == (202, "0-0")
    location = answer.headers["location"]
    assert location == f"/v2/{name}/blobs/uploads/{answer.headers['docker-upload-uuid']}"
    return location


async def is_stored(oci: OciApi, content: bytes, stored: Answer, name: str = "app") -> bool:
    assert stored.status == 201, stored
    assert stored.headers["location"] == f"/v2/{name}/blobs/{sha256(content)}"
    assert stored.headers["docker-content-digest"] == sha256(content)
    return (await oci.client("GET", stored.headers["location"])).body == content


async def test_post_then_put(oci: OciApi) -> None:
    location = await begin(oci)
    stored = await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}", CONTENT)
    assert await is_stored(oci, CONTENT, stored)
    again = await oci.client("GET", location)
    assert (again.status, again.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_one_post(oci: OciApi) -> None:
    stored = await oci.client("POST", f"/v2/app/blobs/uploads/?digest={sha256(CONTENT)}", CONTENT)
    assert await is_stored(oci, CONTENT, stored)


async def test_chunks_then_an_empty_put(oci: OciApi) -> None:
    location = await begin(oci)
    for start in range(0, 2000, 500):
        chunk = CONTENT[start : start + 500]
        answer = await oci.client("PATCH", location, chunk, content_range=f"{start}-{start + 499}")
        assert (answer.status, answer.headers["range"]) == (202, f"0-{start + 499}")
        assert answer.headers["location"] == location
    stored = await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}", content_length="0")
    assert await is_stored(oci, CONTENT, stored)


async def test_the_last_chunk_in_the_put(oci: OciApi) -> None:
    for streamed in (False, True):
        location = await begin(oci)
        await oci.client("PATCH", location, CONTENT[:900], content_range="0-899")
        url = f"{location}?digest={sha256(CONTENT)}"
        stored = await oci.client("PUT", url, CONTENT[900:], streamed=streamed, content_range="900-1999")
        assert await is_stored(oci, CONTENT, stored)
        await oci.client("DELETE", f"/v2/app/blobs/{sha256(CONTENT)}")


async def test_streams_without_a_length(oci: OciApi) -> None:
    location = await begin(oci)
    pieces = [CONTENT[:7], CONTENT[7:1000], CONTENT[1000:]]
    answer = await oci.client("PATCH", location, pieces, streamed=True)
    assert (answer.status, answer.headers["range"]) == (202, "0-1999")
    stored = await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}")
    assert await is_stored(oci, CONTENT, stored)


async def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(oci: OciApi) -> None:
    location = await begin(oci)
    early = await oci.client("PATCH", location, CONTENT[500:1000], content_range="500-999")
    assert (early.status, early.code, early.headers["range"]) == (416, "BLOB_UPLOAD_INVALID", "0-0")
    await oci.client("PATCH", location, CONTENT[:500], content_range="0-499")
    again = await oci.client("PATCH", location, CONTENT[:500], content_range="0-499")
    assert (again.status, again.headers["range"]) == (416, "0-499")
    gap = await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}", CONTENT[600:], content_range="600-1999")
    assert gap.status == 416
    status = await oci.client("GET", location)
    assert (status.status, status.headers["range"], status.headers["location"]) == (204, "0-499", location)
    rest = await oci.client("PATCH", location, CONTENT[500:], content_range="500-1999")
    assert rest.status == 202
    assert await is_stored(oci, CONTENT, await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}"))


async def test_headers_that_contradict_each_other(oci: OciApi) -> None:
    location = await begin(oci)
    for content_range in ("0-9", "5", "9-0", "a-b"):
        answer = await oci.client("PATCH", location, CONTENT, content_range=content_range)
        assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
    answer = await oci.client("PATCH", location, CONTENT, content_length="many")
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
    assert (await oci.client("GET", location)).headers["range"] == "0-0"


async def test_a_body_cut_off_is_resumed(oci: OciApi) -> None:
    location = await begin(oci)
    cut = await oci.client("PATCH", location, CONTENT[:700], cut=True, content_length="2000")
    assert (cut.status, cut.code) == (400, "SIZE_INVALID")
    assert (await oci.client("HEAD", f"/v2/app/blobs/{sha256(CONTENT)}")).status == 404
    status = await oci.client("GET", location)
    assert status.headers["range"] == "0-699"
    await oci.client("PATCH", location, CONTENT[700:], content_range="700-1999")
    assert await is_stored(oci, CONTENT, await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}"))


async def test_a_put_cut_off_stores_nothing(oci: OciApi) -> None:
    location = await begin(oci)
    url = f"{location}?digest={sha256(CONTENT[:700])}"
    cut = await oci.client("PUT", url, CONTENT[:700], cut=True, content_length="2000")
    assert cut.status == 400
    cut = await oci.client("PUT", url, CONTENT[:700], cut=True, streamed=True)
    assert cut.status == 400
    at_once = f"/v2/app/blobs/uploads/?digest={sha256(CONTENT[:700])}"
    assert (await oci.client("POST", at_once, CONTENT[:700], cut=True, content_length="2000")).status == 400
    assert (await oci.client("HEAD", f"/v2/app/blobs/{sha256(CONTENT[:700])}")).status == 404


async def test_a_wrong_digest(oci: OciApi) -> None:
    wrong = sha256(b"something else")
    at_once = await oci.client("POST", f"/v2/app/blobs/uploads/?digest={wrong}", CONTENT)
    assert (at_once.status, at_once.code) == (400, "DIGEST_INVALID")
    location = await begin(oci)
    answer = await oci.client("PUT", f"{location}?digest={wrong}", CONTENT)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert (await oci.client("HEAD", f"/v2/app/blobs/{wrong}")).status == 404
    for query in ("", "?digest=", "?digest=sha256:zz"):
        answer = await oci.client("PUT", location + query)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_sha512(oci: OciApi) -> None:
    digest = "sha512:" + hashlib.sha512(CONTENT).hexdigest()
    location = await begin(oci)
    await oci.client("PATCH", location, CONTENT)
    assert (await oci.client("PUT", f"{location}?digest={digest}")).status == 201
    assert (await oci.client("GET", f"/v2/app/blobs/{digest}")).body == CONTENT


async def test_a_cancelled_upload_is_gone(oci: OciApi) -> None:
    location = await begin(oci)
    assert (await oci.client("DELETE", location)).status == 204
    for method in ("GET", "DELETE", "PATCH"):
        answer = await oci.client(method, location)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_an_upload_of_another_repository_is_none(oci: OciApi) -> None:
    await oci.create("other")
    upload_id = (await begin(oci)).rpartition("/")[2]
    for name in ("other", "111122223333/us-east-1/app"):
        assert (await oci.client("GET", f"/v2/{name}/blobs/uploads/{upload_id}")).status == 404
    for strange in ("..", "a.b", "x" * 99):
        answer = await oci.client("PATCH", f"/v2/app/blobs/uploads/{strange}", b"x")
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_ecr_answers_patch_with_201_and_absolute_urls(aws: OciApi) -> None:
    begun = await aws.client("POST", "/v2/app/blobs/uploads/")
    location = begun.headers["location"].removeprefix("http://localhost:4580")
    assert location.startswith("/v2/app/blobs/uploads/")
    assert (await aws.client("PATCH", location, CONTENT)).status == 201


async def test_a_mount_needs_the_right_on_its_source(oci: OciApi) -> None:
    await oci.create("source")
    digest = await oci.push_blob("source", CONTENT)
    url = f"/v2/app/blobs/uploads/?mount={digest}&from=source"
    oci.rights.denied = {("GetDownloadUrlForLayer", "source")}
    assert (await oci.client("POST", url)).status == 202
    assert (await oci.client("HEAD", f"/v2/app/blobs/{digest}")).status == 404
    oci.rights.denied = set()
    assert await is_stored(oci, CONTENT, await oci.client("POST", url))


async def test_where_a_mount_may_come_from(oci: OciApi) -> None:
    await oci.create("source")
    await oci.registry.repositories.create(ref("source", "111122223333"), by="test")
    digest = await oci.push_blob("source", CONTENT)
    for source in ("none", "..", "111122223333/us-east-1/source", "evil.example:80/source", ""):
        answer = await oci.client("POST", f"/v2/app/blobs/uploads/?mount={digest}&from={source}")
        assert answer.status == 202, source
    for source in ("000000000000/us-east-1/source", "localhost:4580/source",
                   "000000000000.dkr.ecr.us-east-1.amazonaws.com/source"):  # fmt: skip
        answer = await oci.client("POST", f"/v2/app/blobs/uploads/?mount={digest}&from={source}")
        assert answer.status == 201, source
        await oci.client("DELETE", f"/v2/app/blobs/{digest}")


async def test_a_mount_without_a_source(oci: OciApi) -> None:
    url = f"/v2/app/blobs/uploads/?mount={sha256(CONTENT)}"
    assert (await oci.client("POST", url)).status == 202
    for name in ("secret", "open"):
        await oci.create(name)
        await oci.push_blob(name, CONTENT)
    oci.rights.denied = {("GetDownloadUrlForLayer", "secret"), ("GetDownloadUrlForLayer", "open")}
    assert (await oci.client("POST", url)).status == 202
    oci.rights.denied = {("GetDownloadUrlForLayer", "secret")}
    assert await is_stored(oci, CONTENT, await oci.client("POST", url))
    assert (await oci.client("POST", "/v2/app/blobs/uploads/?mount=sha256:x")).code == "DIGEST_INVALID"


async def test_actions(oci: OciApi) -> None:
    digest = sha256(CONTENT)
    location = await begin(oci)
    steps = [
        ("POST", "/v2/app/blobs/uploads/", b"", ["InitiateLayerUpload"]),
        ("POST", f"/v2/app/blobs/uploads/?digest={digest}", CONTENT,
         ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"]),
        ("GET", location, b"", ["UploadLayerPart"]),
        ("PATCH", location, CONTENT[:9], ["UploadLayerPart"]),
        ("PUT", f"{location}?digest={digest}", CONTENT[9:], ["CompleteLayerUpload", "UploadLayerPart"]),
        ("DELETE", await begin(oci), b"", ["CompleteLayerUpload"]),
    ]  # fmt: skip
    for method, url, body, actions in steps:
        for action in actions:
            oci.rights.denied = {(action, "app")}
            answer = await oci.client(method, url, body)
            assert (answer.status, answer.code) == (403, "DENIED"), (method, action)
        oci.rights.denied, oci.rights.asked = set(), []
        assert (await oci.client(method, url, body)).status < 300, method
        assert oci.rights.asked == [(action, "app") for action in actions]


async def test_a_put_without_a_body_needs_no_right_to_send_one(oci: OciApi) -> None:
    location = await begin(oci)
    await oci.client("PATCH", location, CONTENT)
    oci.rights.denied = {("UploadLayerPart", "app")}
    assert (await oci.client("PUT", f"{location}?digest={sha256(CONTENT)}")).status == 201


async def test_create_on_push(make_oci: MakeOciApi) -> None:
    oci: OciApi = await make_oci(create_on_push=True)
    for action in ("InitiateLayerUpload", "CreateRepository"):
        oci.rights.denied = {(action, "team/new")}
        assert (await oci.client("POST", "/v2/team/new/blobs/uploads/")).status == 403
        assert await oci.registry.repositories.state(ref("team/new")) is None
    oci.rights.denied = set()
    await begin(oci, "team/new")
    elsewhere = await oci.client("POST", "/v2/111122223333/eu-west-1/app/blobs/uploads/")
    assert elsewhere.status == 202
    assert (await oci.registry.repositories.get(ref("app", "111122223333", "eu-west-1"))).ref.name == "app"
    path_form = "/v2/111122223333/eu-west-1/111122223333/eu-west-1/app/blobs/uploads/"
    refused = await oci.client("POST", path_form)
    assert (refused.status, refused.code) == (400, "NAME_INVALID")


async def test_without_create_on_push(oci: OciApi) -> None:
    for query in ("", f"?digest={sha256(CONTENT)}", f"?mount={sha256(CONTENT)}&from=app"):
        answer = await oci.client("POST", "/v2/none/blobs/uploads/" + query, CONTENT)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_a_refused_body_is_read_on_a_little(oci: OciApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.api.asgi.LINGER_BYTES", 2500)
    location = await begin(oci)
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield b"x" * 1000

    client = oci.client
    answer = await client("PATCH", location, pieces(), content_range="5-10004")
    assert answer.status == 416
    assert taken == 3
