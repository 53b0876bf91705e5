"""Pushing a manifest by digest with tags as parameters (distribution-spec main, end-7b)."""

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from moorage.audit.event import AuditEvent
from moorage.settings import Settings
from moorage.store.metadata.tables import outbox, tag_history
from tests.api.oci.client import Answer
from tests.api.oci.conftest import INDEX, MakePlane, Plane, ref, sha256
from tests.inside import inside


async def push(plane: Plane, text: bytes, *tags: str, digest: str = "", more: str = "") -> Answer:
    query = "&".join([f"tag={tag}" for tag in tags] + ([more] if more else []))
    return await plane.push_text("app", f"{digest or sha256(text)}?{query}", text)


async def tagged(plane: Plane) -> dict[str, str]:
    """Every tag of the repository and the digest of its manifest."""
    listed = (await plane.client("GET", "/v2/app/tags/list")).json["tags"]
    heads = {tag: await plane.client("HEAD", f"/v2/app/manifests/{tag}") for tag in listed}
    return {tag: head.headers["docker-content-digest"] for tag, head in heads.items()}


async def test_every_tag_is_set_and_named_in_the_answer(plane: Plane) -> None:
    text = await plane.manifest("app")
    tags = ["1.2.3", "1.2", "1", "latest"]
    pushed = await push(plane, text, *tags, more="unknown=x")
    assert pushed.status == 201
    assert pushed.headers["oci-tag"] == "1.2.3, 1.2, 1, latest"
    assert pushed.headers["docker-content-digest"] == sha256(text)
    assert pushed.headers["location"] == f"/v2/app/manifests/{sha256(text)}"
    assert await tagged(plane) == dict.fromkeys(tags, sha256(text))
    for tag in tags:
        assert (await plane.client("GET", f"/v2/app/manifests/{tag}")).body == text
    assert (await push(plane, text, *tags)).headers == pushed.headers


async def test_a_tag_given_twice_is_set_once(plane: Plane) -> None:
    text = await plane.manifest("app")
    assert (await push(plane, text, "b", "a", "b")).headers["oci-tag"] == "b, a"


async def test_the_history_and_the_events_name_each_tag_once(plane: Plane) -> None:
    text = await plane.manifest("app")
    await push(plane, text, "a", "b")
    await push(plane, text, "b", "c")

    def read(conn: object) -> tuple[list[str], list[str | None]]:
        names = conn.execute(select(tag_history.c.name).order_by(tag_history.c.id)).scalars()  # type: ignore[attr-defined]
        rows = conn.execute(select(outbox).where(outbox.c.kind == "image.pushed").order_by(outbox.c.id))  # type: ignore[attr-defined]
        return list(names), [json.loads(row.payload)["tag"] for row in rows]

    assert await plane.registry.images._db.read(read) == (["a", "b", "c"], ["a", "b", "c"])


async def test_tags_move_from_another_image(plane: Plane) -> None:
    first, second = await plane.manifest("app"), await plane.manifest("app", content=b"second")
    await push(plane, first, "a", "b")
    await push(plane, second, "b", "c")
    assert await tagged(plane) == {"a": sha256(first), "b": sha256(second), "c": sha256(second)}


async def test_a_manifest_by_sha512_gets_its_tags(plane: Plane) -> None:
    text = await plane.manifest("app")
    digest = "sha512:" + hashlib.sha512(text).hexdigest()
    assert (await push(plane, text, "a", "b", digest=digest)).headers["oci-tag"] == "a, b"
    assert await tagged(plane) == {"a": digest, "b": digest}


async def test_an_index_gets_its_tags(plane: Plane) -> None:
    text = await plane.manifest("app")
    await push(plane, text)
    child = {"mediaType": json.loads(text)["mediaType"], "digest": sha256(text), "size": len(text)}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    pushed = await plane.push_text("app", f"{sha256(index)}?tag=all", index, INDEX)
    assert (pushed.status, pushed.headers["oci-tag"]) == (201, "all")


@pytest.mark.parametrize("bad", ["", "-v1", "a%20b", "a%2Cb", "a%0D%0Ax", "x" * 301, "%C3%A9", "sha256:abc"])
async def test_a_bad_tag_refuses_them_all(plane: Plane, bad: str) -> None:
    text = await plane.manifest("app")
    refused = await push(plane, text, "good", bad)
    assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
    assert "oci-tag" not in refused.headers
    assert (await plane.client("GET", f"/v2/app/manifests/{sha256(text)}")).status == 404
    assert await tagged(plane) == {}


async def test_an_immutable_tag_refuses_them_all(plane: Plane) -> None:
    first, second = await plane.manifest("app"), await plane.manifest("app", content=b"second")
    await plane.registry.repositories.set_mutability(ref("app"), "IMMUTABLE", (), by="test")
    assert (await push(plane, first, "a", "b")).status == 201
    refused = await push(plane, second, "c", "b", "d")
    assert (refused.status, refused.code) == (400, "TAG_INVALID")
    assert "'b'" in refused.message
    assert await tagged(plane) == {"a": sha256(first), "b": sha256(first)}
    assert (await plane.client("GET", f"/v2/app/manifests/{sha256(second)}")).status == 404
    assert (await push(plane, first, "b", "a", "c")).headers["oci-tag"] == "b, a, c"


async def test_a_wrong_digest_sets_no_tag(plane: Plane) -> None:
    text = await plane.manifest("app")
    refused = await push(plane, text, "a", digest=sha256(b"other"))
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert await tagged(plane) == {}


async def test_so_many_tags_a_request_and_an_image(make_plane: MakePlane) -> None:
    plane: Plane = await make_plane(tags_per_image=60)
    await plane.create("app")
    text = await plane.manifest("app")
    refused = await push(plane, text, *(f"t{number}" for number in range(51)))
    assert (refused.status, refused.code) == (414, "TAG_INVALID")
    assert await tagged(plane) == {}
    assert (await push(plane, text, *(f"t{number}" for number in range(50)))).status == 201
    over = await push(plane, text, *(f"u{number}" for number in range(11)))
    assert (over.status, over.code) == (403, "DENIED")
    assert len(await tagged(plane)) == 50
    assert (await push(plane, text, "t0", *(f"u{number}" for number in range(10)))).status == 201
    assert len(await tagged(plane)) == 60


async def test_a_push_by_tag_takes_no_further_tags(plane: Plane) -> None:
    pushed = await plane.push("app", "v1?tag=v2")
    assert pushed.status == 201
    assert "oci-tag" not in pushed.headers
    assert list(await tagged(plane)) == ["v1"]


async def test_profile_aws_ignores_the_parameter(aws: Plane) -> None:
    text = await aws.manifest("app")
    pushed = await push(aws, text, "a", "b")
    assert pushed.status == 201
    assert "oci-tag" not in pushed.headers
    assert await tagged(aws) == {}


async def test_the_record_names_the_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with inside(Settings(mode="dev", data=tmp_path / "data")) as registry:
        running = registry.application._running
        assert running is not None
        noted: list[AuditEvent] = []
        note = running.components.recorder.record_event

        def noting(event: AuditEvent) -> str:
            noted.append(event)
            return note(event)

        monkeypatch.setattr(running.components.recorder, "record_event", noting)
        plane = await registry.plane()
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
        digest = sha256(index)
        pushed = await plane("PUT", f"/v2/app/manifests/{digest}?tag=a&tag=b", index, content_type=INDEX)
        assert pushed.status == 201
        (event,) = (each for each in noted if each.name == "PutImage")
        assert json.loads(event.request)["imageDigest"] == digest
        assert json.loads(event.request)["imageTags"] == ["a", "b"]
        image_id = json.loads(event.response)["image"]["imageId"]
        assert image_id == {"imageDigest": digest, "imageTags": ["a", "b"]}
