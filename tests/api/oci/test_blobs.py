"""HEAD, GET and DELETE of blobs."""

from pathlib import Path

from moorage.store.blobs.memory import MemoryBlobStore
from tests.api.oci.conftest import MakeOciApi, OciApi, sha256

CONTENT = bytes(range(256)) * 10


async def test_a_blob_is_got_as_it_was_pushed(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}")
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["docker-content-digest"] == digest
    assert answer.headers["content-type"] == "application/octet-stream"
    head = await oci.client("HEAD", f"/v2/app/blobs/{digest}")
    assert (head.status, head.body, head.headers) == (200, b"", answer.headers)


async def test_a_blob_belongs_to_its_repository(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    await oci.create("other")
    for method in ("GET", "HEAD", "DELETE"):
        assert (await oci.client(method, f"/v2/other/blobs/{digest}")).status == 404
    answer = await oci.client("GET", f"/v2/other/blobs/{digest}")
    assert answer.code == "BLOB_UNKNOWN"
    assert (await oci.client("GET", f"/v2/none/blobs/{digest}")).code == "NAME_UNKNOWN"
    assert (await oci.client("GET", "/v2/app/blobs/sha256:ABC")).code == "DIGEST_INVALID"


async def test_parts_of_a_blob(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    for wanted, start, end in (("bytes=0-9", 0, 10), ("bytes=2550-", 2550, 2560), ("bytes=-5", 2555, 2560)):
        answer = await oci.client("GET", f"/v2/app/blobs/{digest}", range=wanted)
        assert (answer.status, answer.body) == (206, CONTENT[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/2560"
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}", range="bytes=2560-")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */2560"


async def test_conditions(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    url = f"/v2/app/blobs/{digest}"
    answer = await oci.client("GET", url, if_none_match=f'"{digest}"')
    assert (answer.status, answer.body) == (304, b"")
    answer = await oci.client("GET", url, range="bytes=0-1", if_range=f'"{digest}"')
    assert answer.status == 206
    answer = await oci.client("GET", url, range="bytes=0-1", if_range='"other"')
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_the_server_sends_whole_files_itself(oci: OciApi) -> None:
    small = await oci.client("GET", f"/v2/app/blobs/{await oci.push_blob('app', CONTENT)}", pathsend=True)
    assert (small.path, small.body) == (None, CONTENT)
    content = CONTENT * 100
    digest = await oci.push_blob("app", content)
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}", pathsend=True)
    assert answer.path is not None
    assert Path(answer.path).read_bytes() == content  # noqa: ASYNC240
    assert answer.headers["content-length"] == "256000"
    part = await oci.client("GET", f"/v2/app/blobs/{digest}", pathsend=True, range="bytes=0-1")
    assert (part.path, part.body) == (None, CONTENT[:2])


async def test_an_empty_blob(oci: OciApi) -> None:
    digest = await oci.push_blob("app", b"")
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}")
    assert (answer.status, answer.body) == (200, b"")


async def test_deleting_a_blob_by_profile(oci: OciApi, aws: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    assert (await oci.client("DELETE", f"/v2/app/blobs/{digest}")).status == 202
    assert (await oci.client("GET", f"/v2/app/blobs/{digest}")).status == 404
    assert (await oci.client("DELETE", f"/v2/app/blobs/{digest}")).code == "BLOB_UNKNOWN"
    digest = await aws.push_blob("app", CONTENT)
    refused = await aws.client("DELETE", f"/v2/app/blobs/{digest}")
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")


async def test_ecr_gives_only_what_an_image_references(aws: OciApi) -> None:
    digest = await aws.push_blob("app", b"layer")
    assert (await aws.client("HEAD", f"/v2/app/blobs/{digest}")).status == 200
    assert (await aws.client("GET", f"/v2/app/blobs/{digest}")).status == 404
    await aws.push("app", "v1")
    assert (await aws.client("GET", f"/v2/app/blobs/{digest}")).body == b"layer"


async def test_actions(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    for method, action in (("HEAD", "BatchCheckLayerAvailability"), ("GET", "GetDownloadUrlForLayer"),
                           ("DELETE", "BatchDeleteImage")):  # fmt: skip
        oci.rights.denied = {(action, "app")}
        assert (await oci.client(method, f"/v2/app/blobs/{digest}")).status == 403
        oci.rights.denied, oci.rights.asked = set(), []
        assert (await oci.client(method, f"/v2/app/blobs/{digest}")).status < 300
        assert oci.rights.asked == [(action, "app")]


async def test_a_download_url_is_decided_again(oci: OciApi) -> None:
    digest = await oci.push_blob("app", CONTENT)
    nobody = oci.client.as_user(None)
    url = f"/v2/app/blobs/{digest}?token="
    assert (await nobody("GET", url + "good")).body == CONTENT
    assert (await nobody("GET", url + "forged")).status == 401
    oci.rights.denied = {("GetDownloadUrlForLayer", "app")}
    assert (await nobody("GET", url + "good")).status == 403
    assert sha256(CONTENT) == digest


async def test_a_download_token_opens_nothing_else(oci: OciApi) -> None:
    await oci.push("app", "v1")
    nobody = oci.client.as_user(None)
    for method, path in (("GET", "manifests/v1"), ("GET", "tags/list"), ("POST", "blobs/uploads/")):
        assert (await nobody(method, f"/v2/app/{path}?token=good")).status == 401
    digest = sha256(b"layer")
    for method in ("DELETE", "HEAD"):
        assert (await nobody(method, f"/v2/app/blobs/{digest}?token=good")).status == 401


class Presigning(MemoryBlobStore):
    """A store whose bytes clients can get without the server."""

    async def url_for(self, key: str, *, seconds: float, content_type: str) -> str | None:
        return f"https://bucket.example/{key}?expires={seconds:.0f}&type={content_type}"


async def test_a_client_is_sent_to_the_url_of_the_store(make_oci: MakeOciApi, tmp_path: Path) -> None:
    oci: OciApi = await make_oci(blobs=Presigning(tmp_path / "locks"), small_layer_bytes=100)
    await oci.create("app")
    digest = await oci.push_blob("app", CONTENT)
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}")
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["location"].startswith("https://bucket.example/")
    assert answer.headers["location"].endswith("?expires=900&type=application/octet-stream")
    assert answer.headers["docker-content-digest"] == digest
    small = await oci.push_blob("app", b"in the metadata")
    assert (await oci.client("GET", f"/v2/app/blobs/{small}")).body == b"in the metadata"


async def test_a_blob_whose_object_is_gone(make_oci: MakeOciApi, tmp_path: Path) -> None:
    blobs = MemoryBlobStore(tmp_path / "locks")
    oci: OciApi = await make_oci(blobs=blobs, small_layer_bytes=0)
    await oci.create("app")
    digest = await oci.push_blob("app", CONTENT)
    [leftover] = [each async for each in blobs.leftovers()]
    await blobs.delete(leftover.name)
    assert (await oci.client("HEAD", f"/v2/app/blobs/{digest}")).status == 404
    answer = await oci.client("GET", f"/v2/app/blobs/{digest}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
