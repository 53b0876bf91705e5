"""What was deleted comes back whole, within the quotas; or it is destroyed."""

import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from moorage.errors import (
    ImageAlreadyExists,
    ImageNotFound,
    ImageTagAlreadyExists,
    InvalidParameter,
    LimitExceeded,
    RepositoryAlreadyExists,
    RepositoryNotFound,
)
from moorage.names import Digest, RepositoryName
from moorage.registry.images.types import ImageId
from moorage.registry.trash.service import Trash
from moorage.store.metadata import epoch
from moorage.store.metadata.tables import manifests, repositories
from tests.registry.pushing import BY, OTHER, REF, Bench, digest_of, index, manifest

HIM = "arn:aws:iam::123456789012:user/restorer"


def trash(bench: Bench, **quotas: Any) -> Trash:
    return Trash(bench.db, bench.blobs, bench.clock, replace(bench.settings, **quotas))


async def delete(bench: Bench, *ids: ImageId, api: Any = "ecr") -> None:
    _, failures = await bench.images.batch_delete(REF, ids, by=BY, api=api)
    assert failures == []
    bench.clock.set(bench.clock.now() + 1)  # so that no two deletions of a test are of the same moment


def image_of(seed: str) -> Digest:
    """The digest that `bench.image(seed)` has."""
    return digest_of(manifest(f"config {seed}".encode(), f"layer {seed}".encode()))


async def held(bench: Bench) -> set[tuple[str | None, str | None]]:
    ids, _ = await bench.images.page_ids(REF, limit=1000)
    return {(each.digest, each.tag) for each in ids}


async def test_an_image_comes_back_with_its_tags(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    await bench.push((await bench.images.find(REF, "v1")).body, tag="v2")
    await delete(bench, ImageId(digest=digest))
    assert await held(bench) == set()
    back = await trash(bench).restore_image(REF, digest, by=HIM)
    assert (sorted(back.tags), back.others) == (["v1", "v2"], [])
    assert await held(bench) == {(digest, "v1"), (digest, "v2")}


async def test_a_tag_that_somebody_took_stays_theirs(bench: Bench) -> None:
    old = await bench.image("old", tag="v1")
    await delete(bench, ImageId(digest=old))
    new = await bench.image("new", tag="v1")
    assert (await trash(bench).restore_image(REF, old, by=HIM)).tags == []
    assert await held(bench) == {(old, None), (new, "v1")}


async def test_a_tag_that_was_taken_away_before_stays_away(bench: Bench) -> None:
    digest = await bench.image("a", tag="early")
    await bench.push((await bench.images.find(REF, "early")).body, tag="late")
    await delete(bench, ImageId(tag="early"))
    await delete(bench, ImageId(tag="late"))
    assert (await trash(bench).restore_image(REF, digest, by=HIM)).tags == ["late"]


async def test_an_index_brings_back_what_was_deleted_with_it_or_after_it(bench: Bench) -> None:
    with_it, after_it, kept = [await bench.image(seed) for seed in ("with", "after", "kept")]
    tagged = await bench.image("tagged", tag="amd64")
    text = index((with_it, 1), (after_it, 1), (kept, 1), (tagged, 1))
    await bench.push(text, tag="all")
    whole = digest_of(text)
    await delete(bench, ImageId(digest=whole), ImageId(digest=with_it), api="oci")
    await delete(bench, ImageId(digest=after_it), ImageId(digest=tagged))
    assert await held(bench) == {(kept, None)}
    back = await trash(bench).restore_image(REF, whole, by=HIM)
    assert (back.tags, sorted(back.others)) == (["all"], sorted([with_it, after_it, tagged]))
    assert await held(bench) == {
        (whole, "all"),
        (with_it, None),
        (after_it, None),
        (kept, None),
        (tagged, "amd64"),
    }


async def test_what_an_index_had_lost_before_stays_away(bench: Bench) -> None:
    child = await bench.image("child")
    text = index((child, 1))
    await bench.push(text, tag="all")
    await delete(bench, ImageId(digest=child), api="oci")
    await delete(bench, ImageId(digest=digest_of(text)), api="oci")
    assert (await trash(bench).restore_image(REF, digest_of(text), by=HIM)).others == []
    assert await held(bench) == {(digest_of(text), "all")}


async def test_indexes_in_indexes_come_back_to_the_last(bench: Bench) -> None:
    digests = [await bench.image("leaf")]
    for _ in range(30):
        text = index((digests[-1], 1))
        await bench.push(text)
        digests.append(digest_of(text))
    for digest in reversed(digests):
        await delete(bench, ImageId(digest=digest))
    await bench.push(index((await bench.image("other"), 1)), tag="other")
    back = await trash(bench).restore_image(REF, digests[-1], by=HIM)
    assert sorted(back.others) == sorted(digests[:-1])
    assert {digest for digest, _ in await held(bench)} >= set(digests)


async def test_a_tag_brings_its_index_back_whole(bench: Bench) -> None:
    child = await bench.image("child")
    text = index((child, 1))
    await bench.push(text, tag="all")
    await delete(bench, ImageId(digest=digest_of(text)))
    await delete(bench, ImageId(digest=child))
    assert await trash(bench).restore_tag(REF, "all", by=HIM) == digest_of(text)
    assert await held(bench) == {(digest_of(text), "all"), (child, None)}


async def test_a_tag_goes_back_to_what_it_stood_for_before(bench: Bench) -> None:
    first, second = await bench.image("one", tag="v1"), await bench.image("two", tag="v1")
    assert await trash(bench).restore_tag(REF, "v1", by=HIM) == first
    assert await held(bench) == {(first, "v1"), (second, None)}
    with pytest.raises(ImageNotFound):
        await trash(bench).restore_tag(REF, "never", by=HIM)


async def test_a_tag_that_may_not_move_is_not_restored_over_another(bench: Bench) -> None:
    first, second = await bench.image("one", tag="v1"), await bench.image("two", tag="v1")
    await bench.repositories.set_mutability(REF, "IMMUTABLE", (), by=BY)
    with pytest.raises(ImageTagAlreadyExists):
        await trash(bench).restore_tag(REF, "v1", by=HIM)
    assert await held(bench) == {(first, None), (second, "v1")}
    await delete(bench, ImageId(tag="v1"))
    assert await trash(bench).restore_tag(REF, "v1", by=HIM) == second


async def test_the_quotas_of_a_repository_hold_and_nothing_half_comes_back(bench: Bench) -> None:
    child = await bench.image("child")
    text = index((child, 1))
    await bench.push(text, tag="all")
    await delete(bench, ImageId(digest=digest_of(text)), ImageId(digest=child), api="oci")
    for quota in (0, 1):
        with pytest.raises(LimitExceeded, match=f"a repository may have {quota} images"):
            await trash(bench, images_per_repository=quota).restore_image(REF, digest_of(text), by=HIM)
        assert await held(bench) == set()
    await trash(bench, images_per_repository=2).restore_image(REF, digest_of(text), by=HIM)


async def test_the_quota_of_tags_holds(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    await bench.push((await bench.images.find(REF, "v1")).body, tag="v2")
    await delete(bench, ImageId(tag="v2"), api="oci")
    with pytest.raises(LimitExceeded, match="an image may have 1 tags"):
        await trash(bench, tags_per_image=1).restore_tag(REF, "v2", by=HIM)
    assert await held(bench) == {(digest, "v1")}


async def test_what_is_not_in_the_trash(bench: Bench) -> None:
    living, absent = await bench.image("here"), digest_of(b"absent")
    for digest in (living, absent):
        with pytest.raises(ImageNotFound):
            await trash(bench).restore_image(REF, digest, by=HIM)
        with pytest.raises(ImageNotFound):
            await trash(bench).purge_image(REF, digest, by=HIM)
    nowhere = REF._replace(name=RepositoryName("no/where"))
    for act in (
        trash(bench).restore_image(nowhere, absent, by=HIM),
        trash(bench).restore_tag(nowhere, "v1", by=HIM),
        trash(bench).purge_image(nowhere, absent, by=HIM),
        trash(bench).restore_repository(REF, as_name=None, by=HIM),
        trash(bench).purge_repository(REF, by=HIM),
    ):
        with pytest.raises(RepositoryNotFound):
            await act
    assert await held(bench) == {(living, None)}


async def test_an_image_purged_is_gone_for_good(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    await delete(bench, ImageId(digest=digest))
    await trash(bench).purge_image(REF, digest, by=HIM)
    with pytest.raises(ImageNotFound):
        await trash(bench).restore_image(REF, digest, by=HIM)
    with pytest.raises(ImageNotFound):
        await trash(bench).restore_tag(REF, "v1", by=HIM)
    assert await bench.image("a", tag="v1") == digest  # and can be pushed again


async def test_a_repository_comes_back_with_all_it_held(bench: Bench) -> None:
    digest = await bench.image("a", tag="v1")
    await bench.repositories.tag(REF, {"team": "a"}, by=BY)
    await bench.repositories.delete(REF, force=True, by=BY)
    assert [each.name for each in await trash(bench).repositories(REF.account, REF.region)] == [REF.name]
    before = await bench.db.read(epoch.current)
    assert await trash(bench).restore_repository(REF, as_name=None, by=HIM) == REF
    assert await bench.db.read(epoch.current) > before  # decisions kept on its absence are no longer good
    assert await held(bench) == {(digest, "v1")}
    assert await bench.repositories.tags(REF) == {"team": "a"}
    assert await trash(bench).repositories(REF.account, REF.region) == []


async def test_the_last_one_of_a_name_comes_back_first(bench: Bench) -> None:
    older = await bench.image("older")
    await bench.repositories.delete(REF, force=True, by=BY)
    bench.clock.set(bench.clock.now() + 1)
    await bench.repositories.create(REF, by=BY)
    newer = await bench.image("newer")
    await bench.repositories.delete(REF, force=True, by=BY)
    bench.clock.set(bench.clock.now() + 1)
    await trash(bench).restore_repository(REF, as_name=None, by=HIM)
    assert await held(bench) == {(newer, None)}
    with pytest.raises(RepositoryAlreadyExists):
        await trash(bench).restore_repository(REF, as_name=None, by=HIM)
    with pytest.raises(RepositoryAlreadyExists):
        await trash(bench).restore_repository(REF, as_name=OTHER.name, by=HIM)
    beside = await trash(bench).restore_repository(REF, as_name=RepositoryName("team/older"), by=HIM)
    assert [each.digest for each in (await bench.images.page_ids(beside, limit=9))[0]] == [older]


async def test_a_name_that_no_repository_may_have(bench: Bench) -> None:
    await bench.repositories.delete(REF, force=True, by=BY)
    with pytest.raises(InvalidParameter):
        await trash(bench).restore_repository(REF, as_name=RepositoryName("123456789012/us-east-1/app"), by=HIM)


async def test_a_full_registry_takes_no_repository_back(bench: Bench) -> None:
    await bench.repositories.delete(REF, force=True, by=BY)
    with pytest.raises(LimitExceeded):
        await trash(bench, repositories_per_registry=1).restore_repository(REF, as_name=None, by=HIM)
    await trash(bench, repositories_per_registry=2).restore_repository(REF, as_name=None, by=HIM)


async def test_a_repository_purged_is_gone_for_good(bench: Bench) -> None:
    await bench.image("a", tag="v1")
    await bench.repositories.delete(REF, force=True, by=BY)
    await trash(bench).purge_repository(REF, by=HIM)
    with pytest.raises(RepositoryNotFound):
        await trash(bench).restore_repository(REF, as_name=None, by=HIM)
    await bench.repositories.create(REF, by=BY)
    assert await held(bench) == set()


async def test_a_digest_of_sha512_comes_back_too(bench: Bench) -> None:
    child: Digest = await bench.image("child")
    text = index((child, 1))
    named = digest_of(text, "sha512")
    await bench.images.put(REF, text, media_type=None, digest=named, by=BY, api="oci")
    await delete(bench, ImageId(digest=named))
    assert (await trash(bench).restore_image(REF, named, by=HIM)).others == []
    assert await held(bench) == {(named, None), (child, None)}


@pytest.mark.parametrize("seed", range(3))
async def test_images_are_counted_whatever_becomes_of_them(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)

    def counted(conn: Connection) -> tuple[int, int]:
        told = select(repositories.c.images).where(repositories.c.name == REF.name)
        living = select(func.count()).select_from(manifests).where(manifests.c.deleted_at.is_(None))
        return conn.execute(told).scalar_one(), conn.execute(living).scalar_one()

    async def gone(*ids: ImageId, api: Any) -> None:
        await bench.images.batch_delete(REF, ids, by=BY, api=api)

    acts: list[Callable[[str, str], Awaitable[Any]]] = [
        lambda name, tag: bench.image(name, tag=tag),
        lambda name, _tag: bench.image(name),
        lambda _name, tag: gone(ImageId(tag=tag), api="ecr"),
        lambda _name, tag: gone(ImageId(tag=tag), api="oci"),
        lambda name, _tag: gone(ImageId(digest=image_of(name)), ImageId(digest=image_of("0")), api="ecr"),
        lambda name, _tag: trash(bench).restore_image(REF, image_of(name), by=HIM),
        lambda _name, tag: trash(bench).restore_tag(REF, tag, by=HIM),
        lambda name, _tag: trash(bench).purge_image(REF, image_of(name), by=HIM),
    ]
    for _ in range(80):
        with contextlib.suppress(ImageNotFound, ImageAlreadyExists):
            await chance.choice(acts)(chance.choice("0123"), chance.choice("vw"))
        told, living = await bench.db.read(counted)
        assert told == living
