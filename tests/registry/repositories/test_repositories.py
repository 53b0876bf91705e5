"""Repositories: made, described, tagged, deleted; within quotas, each registry's own."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from moorage.errors import (
    InvalidParameter,
    InvalidTagParameter,
    LimitExceeded,
    RepositoryAlreadyExists,
    RepositoryNotEmpty,
    RepositoryNotFound,
    TooManyTags,
)
from moorage.names import Region, RepositoryName, RepositoryRef
from moorage.registry.repositories.service import Repositories
from moorage.registry.repositories.types import Encryption, RepositoryState
from moorage.store.metadata import epoch
from moorage.store.metadata.epoch import Epochs
from moorage.store.metadata.tables import outbox
from tests.registry.pushing import BY, OTHER, REF, Bench

NEW = REF._replace(name=RepositoryName("team/new"))


def limited(bench: Bench, **quotas: Any) -> Repositories:
    return Repositories(Epochs(bench.db), bench.clock, replace(bench.settings, **quotas))


async def events(bench: Bench) -> list[tuple[str, str]]:
    def work(conn: Connection) -> list[tuple[str, str]]:
        rows = conn.execute(select(outbox.c.kind, outbox.c.payload).order_by(outbox.c.id))
        return [(row.kind, json.loads(row.payload)["repository"]) for row in rows]

    return await bench.db.read(work)


async def test_what_is_made_is_what_is_got(bench: Bench) -> None:
    made = await bench.repositories.create(
        NEW,
        mutability="IMMUTABLE_WITH_EXCLUSION",
        exclusion_filters=["dev-*", "*-tmp"],
        scan_on_push=True,
        tags={"team": "a"},
        by=BY,
    )
    assert await bench.repositories.get(NEW) == made
    assert (made.ref, made.mutability, made.exclusion_filters) == (NEW, "IMMUTABLE_WITH_EXCLUSION", ("dev-*", "*-tmp"))
    assert made.scan_on_push
    assert await bench.repositories.tags(NEW) == {"team": "a"}
    assert (await events(bench))[-1] == ("repository.created", NEW.name)


async def test_a_name_is_taken_once_in_each_registry(bench: Bench) -> None:
    with pytest.raises(RepositoryAlreadyExists):
        await bench.repositories.create(REF, by=BY)
    elsewhere = REF._replace(region=Region("us-west-2"))
    await bench.repositories.create(elsewhere, by=BY)
    assert (await bench.repositories.get(elsewhere)).ref == elsewhere


async def test_of_many_that_make_one_at_once_one_does(bench: Bench) -> None:
    outcomes = await asyncio.gather(*(bench.repositories.create(NEW, by=BY) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, RepositoryAlreadyExists) for each in outcomes) == 7
    assert [kind for kind, name in await events(bench) if name == NEW.name] == ["repository.created"]


async def test_a_registry_has_its_quota(bench: Bench) -> None:
    with pytest.raises(LimitExceeded, match="maximum allowed number of repositories which is '2'"):
        await limited(bench, repositories_per_registry=2).create(NEW, by=BY)
    with pytest.raises(RepositoryNotFound):
        await bench.repositories.get(NEW)
    await bench.repositories.delete(OTHER, force=False, by=BY)
    await limited(bench, repositories_per_registry=2).create(NEW, by=BY)  # what is in the trash does not count


async def test_a_name_of_the_path_form(bench: Bench) -> None:
    with pytest.raises(InvalidParameter):
        await bench.repositories.create(REF._replace(name=RepositoryName("123456789012/us-east-1/app")), by=BY)


@pytest.mark.parametrize(
    ("mutability", "filters"),
    [
        ("MUTABLE", ["a"]),
        ("IMMUTABLE", ["a"]),
        ("MUTABLE_WITH_EXCLUSION", []),
        ("IMMUTABLE_WITH_EXCLUSION", []),
        ("MUTABLE_WITH_EXCLUSION", ["a", "b", "c", "d", "e", "f"]),
        ("MUTABLE_WITH_EXCLUSION", [""]),
        ("MUTABLE_WITH_EXCLUSION", ["a*b*c*"]),
        ("MUTABLE_WITH_EXCLUSION", ["a b"]),
        ("MUTABLE_WITH_EXCLUSION", ["a" * 129]),
    ],
)
async def test_exclusion_filters_that_do_not_fit(bench: Bench, mutability: str, filters: list[str]) -> None:
    with pytest.raises(InvalidParameter, match="imageTagMutabilityExclusionFilters"):
        await bench.repositories.create(NEW, mutability=mutability, exclusion_filters=filters, by=BY)
    with pytest.raises(InvalidParameter, match="imageTagMutabilityExclusionFilters"):
        await bench.repositories.set_mutability(REF, mutability, filters, by=BY)
    assert (await bench.repositories.get(REF)).mutability == "MUTABLE"


async def test_mutability_is_changed_and_only_where_there_is_something(bench: Bench) -> None:
    changed = await bench.repositories.set_mutability(REF, "MUTABLE_WITH_EXCLUSION", ["v*"], by=BY)
    assert changed == await bench.repositories.get(REF)
    assert changed.exclusion_filters == ("v*",)
    assert (await bench.repositories.set_mutability(REF, "IMMUTABLE", (), by=BY)).exclusion_filters == ()
    with pytest.raises(RepositoryNotFound):
        await bench.repositories.set_mutability(NEW, "IMMUTABLE", (), by=BY)


@pytest.mark.parametrize(
    ("region", "given", "shown"),
    [
        ("eu-west-1", None, "arn:aws:kms:eu-west-1:123456789012:alias/aws/ecr"),
        ("eu-west-1", "alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/mine"),
        ("eu-west-1", "1234-abcd", "arn:aws:kms:eu-west-1:123456789012:key/1234-abcd"),
        ("cn-north-1", None, "arn:aws-cn:kms:cn-north-1:123456789012:alias/aws/ecr"),
        ("us-gov-west-1", "1234-abcd", "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1234-abcd"),
        ("eu-west-1", "arn:aws:kms:eu-west-1:999999999999:key/1", "arn:aws:kms:eu-west-1:999999999999:key/1"),
        ("cn-north-1", "arn:aws-cn:kms:cn-north-1:1:key/1", "arn:aws-cn:kms:cn-north-1:1:key/1"),
    ],
)
async def test_a_kms_key_comes_back_as_an_arn_of_the_regions_partition(
    bench: Bench, region: str, given: str | None, shown: str
) -> None:
    ref = NEW._replace(region=Region(region))
    await bench.repositories.create(ref, encryption=Encryption("KMS", given), by=BY)
    assert (await bench.repositories.get(ref)).encryption == Encryption("KMS", shown)


async def test_without_kms_there_is_no_key(bench: Bench) -> None:
    made = await bench.repositories.create(NEW, encryption=Encryption("AES256", "alias/mine"), by=BY)
    assert made.encryption == Encryption("AES256", None)


async def test_pages_are_in_order_of_creation(bench: Bench) -> None:
    made = [REF, OTHER]
    for number in (5, 3, 4, 1, 2):
        made.append(NEW._replace(name=RepositoryName(f"page/{number}")))
        await bench.repositories.create(made[-1], by=BY)
    await bench.repositories.create(NEW._replace(region=Region("us-west-2")), by=BY)
    await bench.repositories.delete(made.pop(1), force=True, by=BY)
    seen: list[RepositoryRef] = []
    after = 0
    while page := await bench.repositories.page(REF.account, REF.region, after=after, limit=2):
        assert len(page) <= 2
        seen += [each.ref for each in page]
        after = page[-1].id
    assert seen == made
    names = [made[3].name, made[1].name]
    assert [each.ref.name for each in await bench.repositories.named(REF.account, REF.region, names)] == names


async def test_names_are_in_the_order_of_their_bytes(bench: Bench) -> None:
    for name in ("team/app-2", "team/app/x", "team/app.y", "team/a", "zebra", "team/app_z"):
        await bench.repositories.create(NEW._replace(name=RepositoryName(name)), by=BY)
    seen: list[str] = []
    while page := await bench.repositories.names(REF.account, REF.region, after=seen[-1] if seen else "", limit=3):
        seen += page
    assert seen == sorted(seen, key=str.encode)
    assert len(seen) == 8


async def test_one_missing_name_fails_them_all(bench: Bench) -> None:
    with pytest.raises(RepositoryNotFound, match="'team/new'"):
        await bench.repositories.named(REF.account, REF.region, [REF.name, NEW.name])


async def test_what_holds_images_goes_by_force_alone(bench: Bench) -> None:
    await bench.image("a")
    with pytest.raises(RepositoryNotEmpty):
        await bench.repositories.delete(REF, force=False, by=BY)
    deleted = await bench.repositories.delete(REF, force=True, by=BY)
    assert deleted.ref == REF
    for act in (bench.repositories.get(REF), bench.repositories.tags(REF), bench.repositories.tag(REF, {}, by=BY)):
        with pytest.raises(RepositoryNotFound):
            await act
    assert await bench.repositories.state(REF) is None
    await bench.repositories.create(REF, by=BY)
    assert (await bench.images.page_ids(REF, limit=9))[0] == []


async def test_tags_are_put_over_one_another_and_removed(bench: Bench) -> None:
    await bench.repositories.tag(REF, {"a": "1", "b": "2"}, by=BY)
    await bench.repositories.tag(REF, {"b": "3", "c": ""}, by=BY)
    assert await bench.repositories.tags(REF) == {"a": "1", "b": "3", "c": ""}
    await bench.repositories.untag(REF, ["a", "never"], by=BY)
    assert await bench.repositories.tags(REF) == {"b": "3", "c": ""}
    assert await bench.repositories.tags(OTHER) == {}


@pytest.mark.parametrize(
    "tags",
    [
        {"": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}, {"aws:mine": "v"}, {"AWS:mine": "v"}, {"a\0": "v"},
        {"a": "v\0"}, {"a": "v\n"}, {"a;b": "v"}, {"a": "<v>"},
    ],
)  # fmt: skip
async def test_tags_that_are_none(bench: Bench, tags: dict[str, str]) -> None:
    with pytest.raises(InvalidTagParameter):
        await bench.repositories.tag(REF, tags, by=BY)
    with pytest.raises(InvalidTagParameter):
        await bench.repositories.create(NEW, tags=tags, by=BY)
    assert await bench.repositories.tags(REF) == {}


async def test_tags_of_every_script(bench: Bench) -> None:
    tags = {"größe": "sehr groß", "名前": "値 1", "a_.:/=+-@": "Ω", "k" * 128: "v" * 256}
    await bench.repositories.tag(REF, tags, by=BY)
    assert await bench.repositories.tags(REF) == tags


async def test_fifty_tags_at_most_together_with_those_that_are_there(bench: Bench) -> None:
    await bench.repositories.tag(REF, {f"k{number}": "" for number in range(49)}, by=BY)
    with pytest.raises(TooManyTags):
        await bench.repositories.tag(REF, {"one": "", "two": ""}, by=BY)
    assert len(await bench.repositories.tags(REF)) == 49
    await bench.repositories.tag(REF, {"one": "", "k1": "again"}, by=BY)
    with pytest.raises(TooManyTags):
        await bench.repositories.create(NEW, tags={f"k{number}": "" for number in range(51)}, by=BY)


async def test_the_state_a_decision_needs_is_never_old(bench: Bench) -> None:
    epochs = [await bench.repositories.current_epoch()]
    other_worker = Repositories(Epochs(bench.db), bench.clock, bench.settings)

    async def now() -> RepositoryState | None:
        epochs.append(await bench.repositories.current_epoch())
        state = await bench.repositories.state(REF)
        assert await bench.repositories.state(REF, epochs[-1]) == state
        return state

    for number in range(3):
        await other_worker.tag(REF, {"n": str(number)}, by=BY)
        state = await now()
        assert state is not None
        assert state.tags == {"n": str(number)}
    await other_worker.untag(REF, ["n"], by=BY)
    state = await now()
    assert state is not None
    assert (state.tags, state.policy_hash) == ({}, None)
    await other_worker.delete(REF, force=True, by=BY)
    assert await now() is None
    assert epochs == sorted(set(epochs))
    assert await bench.db.read(epoch.current) == epochs[-1]
