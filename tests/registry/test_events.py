"""Every change of the registry's state records an event that says what happened, to what, when and by whom."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from moorage.errors import MoorageError
from moorage.events import AnyEvent, RegistryEvent, RepositoryEvent
from moorage.names import RepositoryName
from moorage.registry.images.types import ImageId
from moorage.registry.registry import Registry, make_registry
from moorage.registry.trash.expiry import destroy_expired_images, destroy_expired_repositories
from tests.registry.pushing import OTHER, REF, Bench, Rights, digest_of, manifest, recorded, stream

WHO = "arn:aws:iam::123456789012:user/ann"
NEW = REF._replace(name=RepositoryName("team/new"))
HERE = (REF.account, REF.region)
BODY = manifest(b"config a", b"layer a")
DIGEST = digest_of(BODY)

Change = Callable[[Registry], Awaitable[object]]


class Case(NamedTuple):
    """A change, what must have happened before it, and the events it records."""

    change: Change
    events: list[dict[str, Any]]
    before: tuple[Change, ...] = ()


def put(body: bytes, *tags: str) -> Change:
    return lambda it: it.images.put(REF, body, media_type=None, tags=tags, digest=None, by=WHO, api="ecr")


def delete(*ids: ImageId, api: Any = "ecr") -> Change:
    return lambda it: it.images.batch_delete(REF, ids, by=WHO, api=api)


async def upload(it: Registry) -> None:
    begun = await it.uploads.begin(REF, WHO)
    await it.uploads.append(REF, begun.id, stream(LARGE))
    await it.uploads.finish(REF, begun.id, digest_of(LARGE), by=WHO, api="oci")


LARGE = b"large" * 20_000
ON = {"repository": REF.name}
PUSHED = {**ON, "kind": "image.pushed", "digest": DIGEST}
DELETE_REPOSITORY: Change = lambda it: it.repositories.delete(REF, force=True, by=WHO)  # noqa: E731
SET_POLICY: Change = lambda it: it.repository_policies.set(REF, "{}", by=WHO)  # noqa: E731
SET_REGISTRY_POLICY: Change = lambda it: it.registry_policies.set(*HERE, "{}", by=WHO)  # noqa: E731
CASES = {
    "create": Case(
        lambda it: it.repositories.create(NEW, by=WHO), [{"kind": "repository.created", "repository": NEW.name}]
    ),
    "delete": Case(DELETE_REPOSITORY, [{"kind": "repository.deleted", **ON}]),
    "restore": Case(
        lambda it: it.trash.restore_repository(REF, as_name=NEW.name, by=WHO),
        [{"kind": "repository.restored", "repository": NEW.name, "formerName": REF.name}],
        (DELETE_REPOSITORY,),
    ),
    "purge": Case(
        lambda it: it.trash.purge_repository(REF, by=WHO), [{"kind": "repository.purged", **ON}], (DELETE_REPOSITORY,)
    ),
    "mutability": Case(
        lambda it: it.repositories.set_mutability(REF, "MUTABLE_WITH_EXCLUSION", ("v*",), by=WHO),
        [
            {
                "kind": "repository.settings-changed",
                "mutability": "MUTABLE_WITH_EXCLUSION",
                "exclusionFilters": ["v*"],
                "scanOnPush": False,
                **ON,
            }
        ],
    ),
    "scan on push": Case(
        lambda it: it.repositories.set_scan_on_push(REF, True, by=WHO),
        [{"kind": "repository.settings-changed", "mutability": "MUTABLE", "scanOnPush": True, **ON}],
    ),
    "resource tags": Case(
        lambda it: it.repositories.tag(REF, {"a": "1"}, by=WHO), [{"kind": "repository.tagged", "keys": ["a"], **ON}]
    ),
    "resource tags removed": Case(
        lambda it: it.repositories.untag(REF, ["a", *map(str, range(1000))], by=WHO),
        [{"kind": "repository.untagged", "keys": ["a"], **ON}],
        (lambda it: it.repositories.tag(REF, {"a": "1", "b": "2"}, by=WHO),),
    ),
    "no resource tag removed": Case(lambda it: it.repositories.untag(REF, ["a"], by=WHO), []),
    "policy": Case(
        SET_POLICY, [{"kind": "repository-policy.set", "policyHash": digest_of(b"{}").partition(":")[2], **ON}]
    ),
    "policy deleted": Case(
        lambda it: it.repository_policies.delete(REF, by=WHO),
        [{"kind": "repository-policy.deleted", **ON}],
        (SET_POLICY,),
    ),
    "registry policy": Case(
        SET_REGISTRY_POLICY,
        [{"kind": "registry-policy.set", "policyHash": digest_of(b"{}").partition(":")[2]}],
    ),
    "registry policy deleted": Case(
        lambda it: it.registry_policies.delete(*HERE, by=WHO),
        [{"kind": "registry-policy.deleted"}],
        (SET_REGISTRY_POLICY,),
    ),
    "account setting": Case(
        lambda it: it.account_settings.put(*HERE, "BLOB_MOUNTING", "ENABLED", by=WHO),
        [{"kind": "account-setting.changed", "name": "BLOB_MOUNTING", "value": "ENABLED"}],
    ),
    "layer": Case(
        lambda it: it.uploads.put(REF, digest_of(b"new"), stream(b"new"), length=3, by=WHO),
        [{"kind": "layer.uploaded", "digest": digest_of(b"new"), "size": 3, **ON}],
    ),
    "large layer": Case(
        lambda it: it.uploads.put(REF, digest_of(LARGE), stream(LARGE), length=None, by=WHO),
        [{"kind": "layer.uploaded", "digest": digest_of(LARGE), "size": len(LARGE), **ON}],
    ),
    "upload": Case(upload, [{"kind": "layer.uploaded", "digest": digest_of(LARGE), "size": len(LARGE), **ON}]),
    "mount": Case(
        lambda it: it.layers.mount(OTHER, digest_of(b"layer a"), Rights(), source=REF, by=WHO),
        [
            {
                "kind": "layer.mounted",
                "digest": digest_of(b"layer a"),
                "repository": OTHER.name,
                "source": REF.name,
            }
        ],
    ),
    "mount again": Case(
        lambda it: it.layers.mount(OTHER, digest_of(b"layer a"), Rights(), source=REF, by=WHO),
        [],
        (lambda it: it.layers.mount(OTHER, digest_of(b"layer a"), Rights(), source=REF, by=WHO),),
    ),
    "delete a layer": Case(
        lambda it: it.layers.delete(REF, digest_of(b"layer a"), WHO),
        [{"kind": "layer.deleted", "digest": digest_of(b"layer a"), **ON}],
    ),
    "account setting that has the value": Case(
        lambda it: it.account_settings.put(*HERE, "BLOB_MOUNTING", "ENABLED", by=WHO),
        [],
        (lambda it: it.account_settings.put(*HERE, "BLOB_MOUNTING", "ENABLED", by=WHO),),
    ),
    "push": Case(put(BODY, "v1", "v2"), [{**PUSHED, "tag": "v1"}, {**PUSHED, "tag": "v2"}]),
    "push without a tag": Case(put(BODY), [{**PUSHED, "tag": None}]),
    "untag": Case(
        delete(ImageId(tag="v1")),
        [{"kind": "image.untagged", "digest": DIGEST, "tags": ["v1"], **ON}],
        (put(BODY, "v1", "v2"),),
    ),
    "untag the last one by the OCI rules": Case(
        delete(ImageId(tag="v1"), api="oci"),
        [{"kind": "image.untagged", "digest": DIGEST, "tags": ["v1"], **ON}],
        (put(BODY, "v1"),),
    ),
    "untag the last one by ECR's rules": Case(
        delete(ImageId(tag="v1")),
        [{"kind": "image.deleted", "digest": DIGEST, "tags": ["v1"], **ON}],
        (put(BODY, "v1"),),
    ),
    "delete an image": Case(
        delete(ImageId(digest=DIGEST)),
        [{"kind": "image.deleted", "digest": DIGEST, "tags": ["v1", "v2"], **ON}],
        (put(BODY, "v1", "v2"),),
    ),
    "restore an image": Case(
        lambda it: it.trash.restore_image(REF, DIGEST, by=WHO),
        [{"kind": "image.restored", "digest": DIGEST, **ON}],
        (put(BODY), delete(ImageId(digest=DIGEST))),
    ),
    "restore a tag": Case(
        lambda it: it.trash.restore_tag(REF, "v1", by=WHO),
        [
            {"kind": "image.restored", "digest": DIGEST, **ON},
            {"kind": "tag.restored", "digest": DIGEST, "tag": "v1", **ON},
        ],
        (put(BODY, "v1"), delete(ImageId(digest=DIGEST))),
    ),
    "purge an image": Case(
        lambda it: it.trash.purge_image(REF, DIGEST, by=WHO),
        [{"kind": "image.purged", "digest": DIGEST, **ON}],
        (put(BODY), delete(ImageId(digest=DIGEST))),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_change_records_its_events(bench: Bench, case: Case) -> None:
    registry = make_registry(bench.db, bench.blobs, bench.clock, bench.settings)
    for content in (b"config a", b"layer a"):
        await bench.layer(content)
    for earlier in case.before:
        await earlier(registry)
    known = len(await recorded(bench.db))
    began = bench.clock.now()
    await case.change(registry)
    events = (await recorded(bench.db))[known:]
    assert len(events) == len(case.events)
    for event, expected in zip(events, case.events, strict=True):
        written = shown(event)
        assert {name: written[name] for name in expected} == expected
        assert (event.by, event.account) == (WHO, REF.account)
        assert isinstance(event, RegistryEvent)
        assert event.region == REF.region
        assert isinstance(event, RepositoryEvent) == ("repository" in expected)
        assert began <= event.at <= bench.clock.now()


async def test_a_refused_change_records_nothing(bench: Bench) -> None:
    registry = make_registry(bench.db, bench.blobs, bench.clock, bench.settings)
    known = await recorded(bench.db)
    for change in (
        registry.repositories.create(REF, by=WHO),
        registry.repositories.tag(NEW, {"a": "1"}, by=WHO),
        registry.repository_policies.delete(REF, by=WHO),
        registry.account_settings.put(*HERE, "BLOB_MOUNTING", "PERHAPS", by=WHO),
        put(BODY, "v1")(registry),
        registry.trash.restore_image(REF, DIGEST, by=WHO),
    ):
        with pytest.raises(MoorageError):
            await change
    assert await recorded(bench.db) == known


def shown(event: AnyEvent) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return found


async def test_what_expires_is_recorded_as_done_by_the_server(bench: Bench) -> None:
    registry = make_registry(bench.db, bench.blobs, bench.clock, bench.settings)
    for content in (b"config a", b"layer a"):
        await bench.layer(content)
    for change in (put(BODY, "v1"), delete(ImageId(digest=DIGEST))):
        await change(registry)
    await registry.repositories.delete(OTHER, force=True, by=WHO)
    known, later = len(await recorded(bench.db)), bench.clock.now() + 1
    numbers = [each async for each in destroy_expired_images(bench.db, before=later, now=later)]
    numbers += [each async for each in destroy_expired_repositories(bench.db, before=later, most=9, now=later)]
    assert numbers == [1, 1]
    events = (await recorded(bench.db))[known:]
    assert [(shown(each)["kind"], shown(each)["repository"], each.by, each.at) for each in events] == [
        ("image.purged", REF.name, "moorage", later),
        ("repository.purged", OTHER.name, "moorage", later),
    ]
