"""What a list answers with is bounded in bytes, and so is what is read from the database to make it."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from moorage.names import AccountId, Region, RepositoryName, RepositoryRef
from moorage.pages import PAGE_BYTES
from moorage.registry.images.types import PAGE_TAGS
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.database.open import open_database
from moorage.store.metadata.images import images as image_rows
from moorage.store.metadata.images.images import ReferrerRow
from moorage.store.metadata.repositories import repositories as repository_rows
from moorage.store.metadata.tables import tags
from tests.registry.pushing import digest_of, manifest
from tests.support.in_process import InProcess, in_process
from tests.support.oci_asgi import AsgiClient

APP = "team/app"
REF = RepositoryRef(AccountId("000000000000"), Region("us-east-1"), RepositoryName(APP))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SUBJECT = digest_of(b"subject")
MIB = 1 << 20
SLACK = 64 << 10
"""What an answer has beside the manifests or annotations."""


@pytest.fixture
async def registry(database_settings: Settings) -> AsyncIterator[InProcess]:
    async with in_process(replace(database_settings, mode="dev")) as made:
        await made.ok("CreateRepository", repositoryName=APP)
        oci = await made.oci()
        for blob in (b"config", b"layer"):
            await oci("POST", f"/v2/{APP}/blobs/uploads/?digest={digest_of(blob)}", blob)
        yield made


@pytest.fixture
async def oci(registry: InProcess) -> AsgiClient:
    return await registry.oci()


@pytest.fixture
async def beside(registry: InProcess) -> AsyncIterator[Database]:
    """The registry's database, for what would take too long through its door."""
    opened = await open_database(registry.settings)
    yield opened
    await opened.close()


async def push(oci: AsgiClient, **more: object) -> str:
    text = manifest(b"config", b"layer", **more)
    put = await oci("PUT", f"/v2/{APP}/manifests/{digest_of(text)}", text, content_type=MANIFEST)
    assert put.status == 201, put
    return digest_of(text)


async def refer(oci: AsgiClient, number: int, length: int, kind: str = "a/b", letter: str = "x") -> str:
    subject = {"mediaType": MANIFEST, "digest": SUBJECT, "size": 1}
    annotations = {"number": str(number), "text": letter * length}
    return await push(oci, subject=subject, artifactType=kind, annotations=annotations)


async def referrers(oci: AsgiClient, query: str = "") -> tuple[list[list[dict[str, Any]]], list[int]]:
    """The pages of the list, as a client follows them, and their lengths."""
    pages, lengths = [], []
    url = f"/v2/{APP}/referrers/{SUBJECT}{query}"
    while url:
        answer = await oci("GET", url)
        assert answer.status == 200
        pages.append(answer.json["manifests"])
        lengths.append(len(answer.body))
        link = answer.headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        url = link.partition(">")[0][1:]
    return pages, lengths


@pytest.mark.usefixtures("registry")
async def test_referrers_with_long_annotations_come_in_pages(oci: AsgiClient) -> None:
    pushed = [await refer(oci, number, MIB * 3 // 2) for number in range(7)]
    pages, lengths = await referrers(oci)
    assert [each["digest"] for page in pages for each in page] == pushed
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert max(lengths) <= PAGE_BYTES + SLACK
    assert pages[0][1]["annotations"]["number"] == "1"


@pytest.mark.usefixtures("registry")
async def test_one_referrer_as_long_as_a_manifest_may_be(oci: AsgiClient) -> None:
    longest = PAGE_BYTES - 2000
    pushed = [
        await refer(oci, 0, longest),
        await refer(oci, 1, longest // 6, letter="é"),
        await refer(oci, 2, 1),
    ]
    pages, lengths = await referrers(oci)
    assert [each["digest"] for page in pages for each in page] == pushed
    assert max(lengths) <= PAGE_BYTES + SLACK


@pytest.mark.usefixtures("registry")
async def test_a_filter_goes_with_every_page(oci: AsgiClient) -> None:
    wanted = []
    for number in range(8):
        digest = await refer(oci, number, MIB * 3 // 2, kind="a/sbom" if number % 2 else "a/signature")
        wanted += [digest] if number % 2 else []
    pages, _ = await referrers(oci, "?artifactType=a/sbom")
    assert [each["digest"] for page in pages for each in page] == wanted
    assert [len(page) for page in pages] == [2, 2]


@pytest.mark.usefixtures("registry")
async def test_only_what_a_page_holds_is_read(oci: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        await refer(oci, number, MIB * 3 // 2)
    read = []
    rows = image_rows.referrers

    def counting(conn: Connection, ids: Sequence[int]) -> Sequence[ReferrerRow]:
        found = rows(conn, ids)
        read.append(sum(len(row.annotations or "") for row in found))
        return found

    monkeypatch.setattr(image_rows, "referrers", counting)
    await oci("GET", f"/v2/{APP}/referrers/{SUBJECT}")
    assert len(read) == 1
    assert 0 < read[0] <= PAGE_BYTES


async def test_manifests_of_a_batch_are_limited_together(registry: InProcess, oci: AsgiClient) -> None:
    long = [await push(oci, annotations={"text": str(number) * (MIB * 3 // 2)}) for number in range(3)]
    asked = [{"imageDigest": digest} for digest in long]
    reply = await registry.ecr("BatchGetImage", repositoryName=APP, imageIds=asked)
    assert reply.error[0] == "LimitExceededException"
    assert "an answer may hold 4194304 bytes of manifests. Ask for fewer images" in reply.error[1]
    answer = await registry.ok("BatchGetImage", repositoryName=APP, imageIds=asked[:2])
    assert [each["imageId"]["imageDigest"] for each in answer["images"]] == long[:2]


async def test_the_longest_manifest_can_be_had(registry: InProcess, oci: AsgiClient) -> None:
    longest = await push(oci, annotations={"text": "x" * (PAGE_BYTES - len(manifest(b"config", b"layer")) - 60)})
    answer = await registry.ok("BatchGetImage", repositoryName=APP, imageIds=[{"imageDigest": longest}])
    assert len(answer["images"][0]["imageManifest"]) > PAGE_BYTES - 100


async def test_one_manifest_under_many_tags_counts_each_time(registry: InProcess, oci: AsgiClient) -> None:
    text = manifest(b"config", b"layer", annotations={"text": "x" * (MIB * 3)})
    for tag in ("a", "b"):
        await oci("PUT", f"/v2/{APP}/manifests/{tag}", text, content_type=MANIFEST)
    reply = await registry.ecr("BatchGetImage", repositoryName=APP, imageIds=[{"imageTag": "a"}, {"imageTag": "b"}])
    assert reply.error[0] == "LimitExceededException"


async def tag_all(beside: Database, digests: list[str], count: int) -> None:
    """Give each image so many tags, as long as tags may be."""

    def work(conn: Connection) -> None:
        repository_id = repository_rows.id_of(conn, REF)
        assert repository_id is not None
        for digest in digests:
            row = image_rows.stored(conn, repository_id, digest)
            assert row is not None
            values = [
                {"repository_id": repository_id, "name": f"{row.id}-{number}-".ljust(300, "x"), "manifest_id": row.id}
                for number in range(count)
            ]
            conn.execute(insert(tags), [{**each, "updated_at": 1.0} for each in values])

    await beside.transaction(work, long=True)


async def test_images_with_many_tags_come_in_pages(registry: InProcess, oci: AsgiClient, beside: Database) -> None:
    pushed = [await push(oci, annotations={"number": str(number)}) for number in range(25)]
    await tag_all(beside, pushed, 1000)
    found: list[str] = []
    token: dict[str, str] = {}
    sizes = []
    while True:
        reply = await registry.ecr("DescribeImages", repositoryName=APP, maxResults=1000, **token)
        assert reply.status == 200, reply
        assert len(reply.body) <= PAGE_BYTES
        details = reply.json["imageDetails"]
        assert all(len(each["imageTags"]) == 1000 for each in details)
        found += [each["imageDigest"] for each in details]
        sizes.append(len(details))
        if "nextToken" not in reply.json:
            break
        token = {"nextToken": reply.json["nextToken"]}
    assert found == pushed
    assert sizes == [10, 10, 5]
    asked = [{"imageDigest": digest} for digest in pushed]
    for operation in ("DescribeImages", "BatchDeleteImage"):
        reply = await registry.ecr(operation, repositoryName=APP, imageIds=asked)
        assert reply.error[0] == "InvalidParameterException"
        assert f"at most {PAGE_TAGS} tags together" in reply.error[1]
        reply = await registry.ecr(operation, repositoryName=APP, imageIds=asked[:10])
        assert reply.status == 200
        assert len(reply.body) <= PAGE_BYTES
    listed = await registry.ecr("ListImages", repositoryName=APP, maxResults=1000)
    assert len(listed.body) <= PAGE_BYTES


async def test_a_refusal_names_so_many_indexes(registry: InProcess, oci: AsgiClient) -> None:
    child = await push(oci)
    entry = {"mediaType": MANIFEST, "digest": child, "size": 1}
    for number in range(120):
        text = json.dumps({"schemaVersion": 2, "manifests": [entry], "annotations": {"number": str(number)}}).encode()
        kind = "application/vnd.oci.image.index.v1+json"
        put = await oci("PUT", f"/v2/{APP}/manifests/{digest_of(text)}", text, content_type=kind)
        assert put.status == 201
    answer = await registry.ok("BatchDeleteImage", repositoryName=APP, imageIds=[{"imageDigest": child}])
    assert answer["failures"][0]["failureReason"].count("sha256:") == 100
