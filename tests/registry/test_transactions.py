"""The rules of the registry compose: one transaction can do several things, and then all of them happen or none."""

import pytest
from sqlalchemy import Connection

from moorage.errors import LayersNotFound, RepositoryNotFound
from moorage.events import registry as vocabulary
from moorage.names import RepositoryName
from moorage.registry.account_settings import rules as account_settings
from moorage.registry.images.push import prepare, push
from moorage.registry.images.types import PushResult
from moorage.registry.layers import rules as layers
from moorage.registry.layers.types import Mount
from moorage.registry.registry_policies import rules as registry_policies
from moorage.registry.repositories import rules as repositories
from moorage.registry.repositories.types import NewRepository, TagMutability
from moorage.registry.repository_policies import rules as repository_policies
from moorage.store.metadata import epoch
from tests.registry.pushing import BY, REF, Bench, digest_of, index, manifest, recorded

NEW = REF._replace(name=RepositoryName("team/new"))
IMAGE = manifest(b"config", b"layer")
INDEX = index((digest_of(IMAGE), len(IMAGE)))
WITHOUT_LAYER = manifest(b"config", b"nowhere")
AT = 1_700_000_000.0


def everything(conn: Connection, bench: Bench, *bodies: tuple[bytes, list[str]]) -> list[PushResult]:
    """Create a repository with policy, tags, layers and images, and set up its registry too."""
    new = NewRepository(NEW, TagMutability("IMMUTABLE"), scan_on_push=True, tags={"team": "a"})
    repositories.create(conn, new, bench.settings, by=BY, at=AT)
    repository_policies.put(conn, NEW, '{"policy": 1}', by=BY, at=AT)
    registry_policies.put(conn, NEW.account, NEW.region, '{"policy": 2}', by=BY, at=AT)
    account_settings.put(conn, NEW.account, NEW.region, "REGISTRY_POLICY_SCOPE", "V1", by=BY, at=AT)
    for content in (b"config", b"layer"):
        assert layers.mount(conn, Mount(NEW, REF, digest_of(content), BY, AT, as_ecr=False)) is not None
    pushes = [prepare(NEW, body, media_type=None, tags=tags, ecr=True) for body, tags in bodies]
    return [push(conn, each, bench.settings, by=BY, at=AT) for each in pushes]


async def test_one_transaction_creates_a_repository_with_policy_tags_and_images(bench: Bench) -> None:
    for content in (b"config", b"layer"):
        await bench.layer(content)
    before, known = await bench.db.read(epoch.current), len(await recorded(bench.db))

    def work(conn: Connection) -> list[PushResult]:
        return everything(conn, bench, (IMAGE, ["v1", "latest"]), (INDEX, ["all"]))

    pushed = await bench.db.transaction(work, long=True, grows=True)

    assert [each.created for each in pushed] == [True, True]
    assert (await bench.repositories.get(NEW)).mutability == "IMMUTABLE"
    assert await bench.repositories.tags(NEW) == {"team": "a"}
    assert await bench.db.read(lambda conn: repository_policies.get(conn, NEW)) == '{"policy": 1}'
    assert await bench.db.read(lambda conn: registry_policies.get(conn, NEW.account, NEW.region)) == '{"policy": 2}'
    assert await bench.images.tag_names(NEW, limit=9) == ["all", "latest", "v1"]
    assert (await bench.images.find(NEW, "v1")).body == IMAGE
    assert (await bench.images.find(NEW, "all")).body == INDEX
    events = (await recorded(bench.db))[known:]
    assert [type(each) for each in events] == [
        vocabulary.RepositoryCreated,
        vocabulary.RepositoryPolicySet,
        vocabulary.RegistryPolicySet,
        vocabulary.AccountSettingChanged,
        vocabulary.LayerMounted,
        vocabulary.LayerMounted,
        vocabulary.ImagePushed,
        vocabulary.ImagePushed,
        vocabulary.ImagePushed,
    ]
    assert {(each.by, each.at, each.account) for each in events} == {(BY, AT, NEW.account)}
    after = await bench.db.read(epoch.current)
    assert (after.value > before.value, after.wide > before.wide) == (True, True)


async def test_nothing_stays_of_a_transaction_whose_last_rule_fails(bench: Bench) -> None:
    for content in (b"config", b"layer"):
        await bench.layer(content)
    before, known = await bench.db.read(epoch.current), await recorded(bench.db)
    with pytest.raises(LayersNotFound):
        await bench.db.transaction(lambda conn: everything(conn, bench, (IMAGE, ["v1"]), (WITHOUT_LAYER, ["v2"])))
    with pytest.raises(RepositoryNotFound):
        await bench.repositories.get(NEW)
    assert await bench.repositories.state(NEW) is None
    assert await recorded(bench.db) == known
    assert await bench.db.read(epoch.current) == before
