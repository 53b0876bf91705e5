"""Pushing a manifest by digest with tags as parameters (distribution-spec main, end-7b)."""

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from moorage.audit.event import AuditEvent
from moorage.settings import Settings
from moorage.store.metadata.tables import outbox, tag_history
from tests.api.oci.conftest import INDEX, MakeOciApi, OciApi, ref, sha256
from tests.support.in_process import in_process
from tests.support.oci_asgi import Answer


async def push(oci: OciApi, text: bytes, *tags: str, digest: str = "", more: str = "") -> Answer:
    query = "&".join([f"tag={tag}" for tag in tags] + ([more] if more else []))
    return await oci.push_text("app", f"{digest or sha256(text)}?{query}", text)


async def tagged(oci: OciApi) -> dict[str, str]:
    """Every tag of the repository and the digest of its manifest."""
    listed = (await oci.client("GET", "/v2/app/tags/list")).json["tags"]
    heads = {tag: await oci.client("HEAD", f"/v2/app/manifests/{tag}") for tag in listed}
    return {tag: head.headers["docker-content-digest"] for tag, head in heads.items()}


async def test_every_tag_is_set_and_named_in_the_answer(oci: OciApi) -> None:
    text = await oci.manifest("app")
    tags = ["1.2.3", "1.2", "1", "latest"]
    pushed = await push(oci, text, *tags, more="unknown=x")
    assert pushed.status == 201
    assert pushed.headers["oci-tag"] == "1.2.3, 1.2, 1, latest"
    assert pushed.headers["docker-content-digest"] == sha256(text)
    assert pushed.headers["location"] == f"/v2/app/manifests/{sha256(text)}"
    assert await tagged(oci) == dict.fromkeys(tags, sha256(text))
    for tag in tags:
        assert (await oci.client("GET", f"/v2/app/manifests/{tag}")).body == text
    assert (await push(oci, text, *tags)).headers == pushed.headers


async def test_a_tag_given_twice_is_set_once(oci: OciApi) -> None:
    text = await oci.manifest("app")
    assert (await push(oci, text, "b", "a", "b")).headers["oci-tag"] == "b, a"


async def test_the_history_and_the_events_name_each_tag_once(oci: OciApi) -> None:
    text = await oci.manifest("app")
    await push(oci, text, "a", "b")
    await push(oci, text, "b", "c")

    def read(conn: object) -> tuple[list[str], list[str | None]]:
        names = conn.execute(select(tag_history.c.name).order_by(tag_history.c.id)).scalars()  # type: ignore[attr-defined]
        rows = conn.execute(select(outbox).where(outbox.c.kind == "image.pushed").order_by(outbox.c.id))  # type: ignore[attr-defined]
        return list(names), [json.loads(row.payload)["tag"] for row in rows]

    assert await oci.registry.images._db.read(read) == (["a", "b", "c"], ["a", "b", "c"])


async def test_tags_move_from_another_image(oci: OciApi) -> None:
    first, second = await oci.manifest("app"), await oci.manifest("app", content=b"second")
    await push(oci, first, "a", "b")
    await push(oci, second, "b", "c")
    assert await tagged(oci) == {"a": sha256(first), "b": sha256(second), "c": sha256(second)}


async def test_a_manifest_by_sha512_gets_its_tags(oci: OciApi) -> None:
    text = await oci.manifest("app")
    digest = "sha512:" + hashlib.sha512(text).hexdigest()
    assert (await push(oci, text, "a", "b", digest=digest)).headers["oci-tag"] == "a, b"
    assert await tagged(oci) == {"a": digest, "b": digest}


async def test_an_index_gets_its_tags(oci: OciApi) -> None:
    text = await oci.manifest("app")
    await push(oci, text)
    child = {"mediaType": json.loads(text)["mediaType"], "digest": sha256(text), "size": len(text)}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    pushed = await oci.push_text("app", f"{sha256(index)}?tag=all", index, INDEX)
    assert (pushed.status, pushed.headers["oci-tag"]) == (201, "all")


@pytest.mark.parametrize("bad", ["", "-v1", "a%20b", "a%2Cb", "a%0D%0Ax", "x" * 301, "%C3%A9", "sha256:abc"])
async def test_a_bad_tag_refuses_them_all(oci: OciApi, bad: str) -> None:
    text = await oci.manifest("app")
    refused = await push(oci, text, "good", bad)
    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert "oci-tag" not in refused.headers
    assert (await oci.client("GET", f"/v2/app/manifests/{sha256(text)}")).status == 404
    assert await tagged(oci) == {}


async def test_an_immutable_tag_refuses_them_all(oci: OciApi) -> None:
    first, second = await oci.manifest("app"), await oci.manifest("app", content=b"second")
    await oci.registry.repositories.set_mutability(ref("app"), "IMMUTABLE", (), by="test")
    assert (await push(oci, first, "a", "b")).status == 201
    refused = await push(oci, second, "c", "b", "d")
    assert (refused.status, refused.code) == (400, "TAG_INVALID")
    assert "'b'" in refused.message
    assert await tagged(oci) == {"a": sha256(first), "b": sha256(first)}
    assert (await oci.client("GET", f"/v2/app/manifests/{sha256(second)}")).status == 404
    assert (await push(oci, first, "b", "a", "c")).headers["oci-tag"] == "b, a, c"


async def test_a_wrong_digest_sets_no_tag(oci: OciApi) -> None:
    text = await oci.manifest("app")
    refused = await push(oci, text, "a", digest=sha256(b"other"))
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert await tagged(oci) == {}


async def test_so_many_tags_a_request_and_an_image(make_oci: MakeOciApi) -> None:
    oci: OciApi = await make_oci(tags_per_image=60)
    await oci.create("app")
    text = await oci.manifest("app")
    refused = await push(oci, text, *(f"t{number}" for number in range(51)))
    assert (refused.status, refused.code) == (414, "TAG_INVALID")
    assert await tagged(oci) == {}
    assert (await push(oci, text, *(f"t{number}" for number in range(50)))).status == 201
    over = await push(oci, text, *(f"u{number}" for number in range(11)))
    assert (over.status, over.code) == (403, "DENIED")
    assert len(await tagged(oci)) == 50
    assert (await push(oci, text, "t0", *(f"u{number}" for number in range(10)))).status == 201
    assert len(await tagged(oci)) == 60


async def test_a_push_by_tag_takes_no_further_tags(oci: OciApi) -> None:
    pushed = await oci.push("app", "v1?tag=v2")
    assert pushed.status == 201
    assert "oci-tag" not in pushed.headers
    assert list(await tagged(oci)) == ["v1"]


async def test_profile_aws_ignores_the_parameter(aws: OciApi) -> None:
    text = await aws.manifest("app")
    pushed = await push(aws, text, "a", "b")
    assert pushed.status == 201
    assert "oci-tag" not in pushed.headers
    assert await tagged(aws) == {}


async def test_the_record_names_the_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as registry:
        noted: list[AuditEvent] = []
        note = registry.components.recorder.record_event

        def noting(event: AuditEvent) -> str:
            noted.append(event)
            return note(event)

        monkeypatch.setattr(registry.components.recorder, "record_event", noting)
        oci = await registry.oci()
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
        digest = sha256(index)
        pushed = await oci("PUT", f"/v2/app/manifests/{digest}?tag=a&tag=b", index, content_type=INDEX)
        assert pushed.status == 201
        (event,) = (each for each in noted if each.name == "PutImage")
        assert json.loads(event.request)["imageDigest"] == digest
        assert json.loads(event.request)["imageTags"] == ["a", "b"]
        image_id = json.loads(event.response)["image"]["imageId"]
        assert image_id == {"imageDigest": digest, "imageTags": ["a", "b"]}
