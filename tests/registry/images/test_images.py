"""Images: what a push checks, what a pull finds, what a deletion leaves, by ECR's rules and by the OCI ones."""

import json

import pytest
from sqlalchemy import Connection, select

from moorage.errors import (
    ImageAlreadyExists,
    ImageDigestDoesNotMatch,
    ImageNotFound,
    ImageTagAlreadyExists,
    InvalidParameter,
    LayersNotFound,
    LimitExceeded,
    ReferencedImagesNotFound,
    RepositoryNotFound,
)
from moorage.names import Digest, RepositoryName
from moorage.registry.images.manifest_document import OCI_MANIFEST
from moorage.registry.images.tag_mutability import matches, may_move
from moorage.registry.images.types import ImageId
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.tables import outbox, tag_history
from tests.registry.pushing import BY, OTHER, REF, Bench, descriptor, digest_of, index, manifest

NOWHERE = REF._replace(name=RepositoryName("no/where"))


async def _tags(bench: Bench) -> list[str]:
    return await bench.images.tag_names(REF, limit=100)


async def _there(bench: Bench, digest: Digest) -> bool:
    try:
        await bench.images.find(REF, digest)
    except ImageNotFound:
        return False
    return True


async def _history(bench: Bench, tag: str) -> list[str | None]:
    def work(conn: Connection) -> list[str | None]:
        statement = select(tag_history.c.digest).where(tag_history.c.name == tag).order_by(tag_history.c.id)
        return list(conn.execute(statement).scalars())

    return await bench.db.read(work)


# --- push ---


async def test_a_push_is_found_by_tag_and_digest(bench: Bench) -> None:
    await bench.layer(b"config")
    await bench.layer(b"layer")
    body = manifest(b"config", b"layer")
    put = await bench.push(body, tag="v1")
    assert (put.created, put.manifest.digest, put.subject) == (True, digest_of(body), None)
    by_tag = await bench.images.find(REF, "v1")
    assert (by_tag.body, by_tag.media_type, by_tag.tag) == (body, OCI_MANIFEST, "v1")
    by_digest = await bench.images.find(REF, digest_of(body))
    assert (by_digest.id, by_digest.tag) == (by_tag.id, None)
    for reference in ("v2", digest_of(b"other")):
        with pytest.raises(ImageNotFound):
            await bench.images.find(REF, reference)
    with pytest.raises(ImageNotFound):
        await bench.images.find(OTHER, "v1")
    with pytest.raises(RepositoryNotFound):
        await bench.images.find(NOWHERE, "v1")


async def test_a_push_writes_an_event_and_a_line_of_history(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")

    def work(conn: Connection) -> list[tuple[str, str]]:
        return [(row.kind, row.payload) for row in conn.execute(select(outbox).order_by(outbox.c.id))]

    kind, payload = (await bench.db.read(work))[-1]
    assert kind == "image.pushed"
    assert json.loads(payload)["digest"] == digest
    assert await _history(bench, "v1") == [digest]


async def test_every_layer_must_be_in_this_repository(bench: Bench) -> None:
    await bench.layer(b"config")
    await bench.layer(b"layer", OTHER)
    with pytest.raises(LayersNotFound) as raised:
        await bench.push(manifest(b"config", b"layer", b"none"), tag="v1")
    assert f"'[{digest_of(b'layer')}, {digest_of(b'none')}]'" in raised.value.message
    assert await _tags(bench) == []


async def test_a_foreign_layer_may_be_missing(bench: Bench) -> None:
    await bench.layer(b"config")
    foreign = descriptor(b"far", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    body = manifest(b"config", layers=[{**foreign, "urls": ["https://example.com/far"]}])
    assert (await bench.push(body)).created
    with pytest.raises(LayersNotFound):
        await bench.push(manifest(b"config", layers=[foreign]))


async def test_the_children_of_an_index_must_be_here(bench: Bench) -> None:
    child = await bench.image("a")
    await bench.push(index((child, 1)), tag="all")
    with pytest.raises(ReferencedImagesNotFound) as raised:
        await bench.push(index((child, 1), (digest_of(b"none"), 1)))
    assert f"'[{digest_of(b'none')}]'" in raised.value.message
    with pytest.raises(ReferencedImagesNotFound):
        await bench.push(index((child, 1)), ref=OTHER)


async def test_an_index_of_blobs_is_taken_by_the_oci_rules_only(bench: Bench) -> None:
    """BuildKit's registry cache is one."""
    layer = await bench.layer(b"cached")
    body = index((layer.digest, 6), media_type="application/vnd.oci.image.layer.v1.tar+gzip")
    with pytest.raises(ReferencedImagesNotFound):
        await bench.push(body, api="ecr")
    assert (await bench.push(body, api="oci")).created


async def test_zero_layers(database: Database, bench: Bench) -> None:
    await bench.layer(b"config")
    aws = Bench.over(database, bench.settings.data, profile="aws")
    for refusing, api in ((bench, "ecr"), (aws, "oci")):
        with pytest.raises(InvalidParameter, match="at least 1 layer"):
            await refusing.push(manifest(b"config"), api=api)
    assert (await bench.push(manifest(b"config"), api="oci")).created


async def test_a_given_digest_must_be_the_bodys(bench: Bench) -> None:
    await bench.image("a")
    body = manifest(b"config a", b"layer a")
    with pytest.raises(ImageDigestDoesNotMatch):
        await bench.images.put(REF, body, media_type=None, digest=digest_of(b""), by=BY, api="oci")
    long = digest_of(body, "sha512")
    put = await bench.images.put(REF, body, media_type=None, digest=long, by=BY, api="oci")
    assert put.manifest.digest == long
    assert (await bench.images.find(REF, long)).body == body


async def test_pushing_again(bench: Bench) -> None:
    await bench.image("a", tag="v1")
    body = manifest(b"config a", b"layer a")
    with pytest.raises(ImageAlreadyExists, match="and tag 'v1' already"):
        await bench.push(body, tag="v1")
    with pytest.raises(ImageAlreadyExists):
        await bench.push(body)
    assert not (await bench.push(body, tag="v1", api="oci")).created
    assert not (await bench.push(body, tag="v2")).created
    assert await _tags(bench) == ["v1", "v2"]


async def test_a_tag_moves_and_leaves_its_image(bench: Bench) -> None:
    first = await bench.image("a", tag="v1")
    second = await bench.image("b", tag="v1")
    assert (await bench.images.find(REF, "v1")).digest == second
    assert await _there(bench, first)
    assert await _history(bench, "v1") == [first, second]


async def test_immutable_tags(bench: Bench) -> None:
    await bench.repositories.set_mutability(REF, "IMMUTABLE_WITH_EXCLUSION", ("dev-*",), by=BY)
    first = await bench.image("a", tag="v1")
    with pytest.raises(ImageTagAlreadyExists):
        await bench.image("b", tag="v1")
    assert (await bench.images.find(REF, "v1")).digest == first
    with pytest.raises(ImageAlreadyExists):
        await bench.image("a", tag="v1")
    await bench.image("a", tag="dev-1")
    second = await bench.image("b", tag="dev-1")
    assert (await bench.images.find(REF, "dev-1")).digest == second


async def test_quotas(database: Database, bench: Bench) -> None:
    tight = Bench.over(database, bench.settings.data, images_per_repository=2, tags_per_image=2)
    await tight.image("a", tag="1")
    await tight.image("a", tag="2")
    with pytest.raises(LimitExceeded):
        await tight.image("a", tag="3")
    await tight.image("b")
    with pytest.raises(LimitExceeded):
        await tight.image("c")
    assert await _tags(tight) == ["1", "2"]


async def test_a_deleted_image_comes_back_with_a_push(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    before = await bench.images.find(REF, digest)
    await bench.images.batch_delete(REF, [ImageId(digest)], by=BY, api="ecr")
    assert not await _there(bench, digest)
    put = await bench.push(manifest(b"config a", b"layer a"), tag="v2")
    assert put.created
    assert (await bench.images.find(REF, "v2")).body == before.body
    assert await _tags(bench) == ["v2"]


@pytest.mark.parametrize(
    ("wildcard", "tag", "fits"),
    [
        ("v1", "v1", True), ("v1", "v10", False), ("v*", "v", True), ("*", "", True), ("*-dev", "a-dev", True),
        ("*-dev", "-devil", False), ("a*b*c", "a1b2c", True), ("a*b*c", "acb", False), ("a*a", "a", False),
        ("v1.0", "v1x0", False), ("*a*" * 40, "a" * 40, True), ("*a" * 60 + "b", "a" * 300, False),
    ],
)  # fmt: skip
def test_wildcards(wildcard: str, tag: str, fits: bool) -> None:
    assert matches(wildcard, tag) is fits


def test_which_tags_may_move() -> None:
    moves = {mode: [may_move(mode, ("x*",), tag) for tag in ("x1", "y1")] for mode in (
        "MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION",
    )}  # fmt: skip
    assert moves == {
        "MUTABLE": [True, True],
        "IMMUTABLE": [False, False],
        "MUTABLE_WITH_EXCLUSION": [False, True],
        "IMMUTABLE_WITH_EXCLUSION": [True, False],
    }


# --- get ---


async def test_batch_get(bench: Bench) -> None:
    a, b = await bench.image("a", tag="a"), await bench.image("b", tag="b")
    ids = [
        ImageId(None, "a"), ImageId(b), ImageId(a, "a"), ImageId(a, "b"), ImageId(None, "none"), ImageId(),
        ImageId("x"), ImageId(None, "a"), ImageId("sha256:abc"),
    ]  # fmt: skip
    found, failures = await bench.images.batch_get(REF, ids)
    assert [(each.digest, each.tag) for each in found] == [(a, "a"), (b, None), (a, "a")]
    assert [(each.id, each.code) for each in failures] == [
        (ImageId(a, "b"), "ImageTagDoesNotMatchDigest"),
        (ImageId(None, "none"), "ImageNotFound"),
        (ImageId(), "MissingDigestAndTag"),
        (ImageId("x"), "InvalidImageDigest"),
        (ImageId("sha256:abc"), "ImageNotFound"),
    ]
    for wanted in ([ImageId(None, "a")], [ImageId()]):
        with pytest.raises(RepositoryNotFound):
            await bench.images.batch_get(NOWHERE, wanted)


async def test_a_pull_is_recorded_once_a_day(bench: Bench) -> None:
    digest = await bench.image("a")
    manifest_id = (await bench.images.find(REF, digest)).id
    start = bench.clock.now()
    recorded = []
    for hours in (0, 23, 25):
        bench.clock.set(start + hours * 3600)
        bench.images.record_pull(manifest_id)
        await bench.images.flush_pulls()
        (image,) = await bench.images.describe(REF, [ImageId(digest)])
        recorded.append(round(((image.last_pulled_at or 0) - start) / 3600))
    assert recorded == [0, 0, 25]


# --- list ---


async def test_lists_page_through_everything(bench: Bench) -> None:
    a, b = await bench.image("a", tag="two"), await bench.image("b")
    await bench.image("a", tag="One")
    c = await bench.image("c", tag="three")
    ids: list[ImageId] = []
    after: str | None = ""
    while after is not None:
        page, after = await bench.images.page_ids(REF, after=after, limit=1)
        assert len(page) == 1
        ids += page
    assert set(ids) == {ImageId(a, "two"), ImageId(a, "One"), ImageId(b), ImageId(c, "three")}
    assert len(ids) == 4

    first, after = await bench.images.page(REF, limit=2)
    assert after is not None
    second, end = await bench.images.page(REF, after=after, limit=2)
    assert ([each.digest for each in first + second], end) == ([a, b, c], None)
    assert first[0].tags == ("One", "two")

    assert await bench.images.tag_names(REF, limit=2) == ["One", "three"]
    assert await bench.images.tag_names(REF, after="three", limit=2) == ["two"]


async def test_lists_by_tag_status(bench: Bench) -> None:
    a, b = await bench.image("a", tag="a"), await bench.image("b")
    for status, expected in (("TAGGED", {a}), ("UNTAGGED", {b}), ("ANY", {a, b}), (None, {a, b})):
        ids, _ = await bench.images.page_ids(REF, tag_status=status, limit=10)
        images, _ = await bench.images.page(REF, tag_status=status, limit=10)
        assert {each.digest for each in ids} == {each.digest for each in images} == expected


async def test_describe(bench: Bench) -> None:
    a = await bench.image("a", tag="a", artifactType="application/x")
    all_of_it = (await bench.push(index((a, 1)), tag="all")).manifest.digest
    image, whole = await bench.images.describe(
        REF, [ImageId(None, "a"), ImageId(a, "a"), ImageId(all_of_it), ImageId(a)]
    )
    assert (image.digest, image.tags, image.size) == (a, ("a",), len(b"config a") + len(b"layer a"))
    assert (image.artifact_type, image.config_media_type) == (
        "application/x",
        "application/vnd.oci.image.config.v1+json",
    )
    assert whole.size == image.size
    for missing in (ImageId(None, "none"), ImageId(digest_of(b"none")), ImageId(a, "all")):
        with pytest.raises(ImageNotFound) as raised:
            await bench.images.describe(REF, [ImageId(a), missing])
        assert f"imageTag:'{missing.tag or 'null'}'" in raised.value.message


# --- delete ---


async def test_ecr_deletes_an_image_with_its_last_tag(bench: Bench) -> None:
    digest = await bench.image("a", tag="1")
    await bench.image("a", tag="2")
    assert await bench.images.batch_delete(REF, [ImageId(None, "1")], by=BY, api="ecr") == ([ImageId(digest, "1")], [])
    assert await _there(bench, digest)
    await bench.images.batch_delete(REF, [ImageId(digest, "2")], by=BY, api="ecr")
    assert not await _there(bench, digest)
    assert await _history(bench, "2") == [digest, None]


async def test_ecr_deletes_by_digest_every_tag(bench: Bench) -> None:
    digest, untagged = await bench.image("a", tag="1"), await bench.image("b")
    await bench.image("a", tag="2")
    deleted, failures = await bench.images.batch_delete(REF, [ImageId(digest), ImageId(untagged)], by=BY, api="ecr")
    assert (deleted, failures) == ([ImageId(digest, "1"), ImageId(digest, "2"), ImageId(untagged)], [])
    assert await _tags(bench) == []
    assert not await _there(bench, digest)


async def test_what_cannot_be_deleted(bench: Bench) -> None:
    digest = await bench.image("a", tag="1")
    ids = [ImageId(digest, "other"), ImageId(digest_of(b"none")), ImageId(), ImageId("x")]
    await bench.image("b", tag="other")
    deleted, failures = await bench.images.batch_delete(REF, ids, by=BY, api="ecr")
    assert deleted == []
    assert [each.code for each in failures] == [
        "ImageTagDoesNotMatchDigest", "ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest",
    ]  # fmt: skip


async def test_ecr_keeps_the_child_of_an_index(bench: Bench) -> None:
    child = await bench.image("a", tag="last")
    parent = (await bench.push(index((child, 1)))).manifest.digest
    for image in (ImageId(child), ImageId(None, "last")):
        deleted, failures = await bench.images.batch_delete(REF, [image], by=BY, api="ecr")
        assert (deleted, [each.code for each in failures]) == ([], ["ImageReferencedByManifestList"])
        assert failures[0].reason == f"Requested image referenced by manifest list: [{parent}]"
    both = [ImageId(parent), ImageId(child)]
    deleted, failures = await bench.images.batch_delete(REF, both, by=BY, api="ecr")
    assert (deleted, [each.id for each in failures]) == ([ImageId(parent)], [ImageId(child)])
    assert (await bench.images.batch_delete(REF, [ImageId(child)], by=BY, api="ecr"))[1] == []


async def test_the_oci_rules_keep_the_image_and_free_the_child(database: Database, bench: Bench) -> None:
    child = await bench.image("a", tag="last")
    await bench.push(index((child, 1)))
    assert await bench.images.batch_delete(REF, [ImageId(None, "last")], by=BY, api="oci") == (
        [ImageId(child, "last")],
        [],
    )
    assert await _there(bench, child)
    aws = Bench.over(database, bench.settings.data, profile="aws")
    assert len((await aws.images.batch_delete(REF, [ImageId(child)], by=BY, api="oci"))[1]) == 1
    assert await bench.images.batch_delete(REF, [ImageId(child)], by=BY, api="oci") == ([ImageId(child)], [])
    assert not await _there(bench, child)
