"""The audit record, on both databases."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from moorage.settings import Settings
from moorage.store.metadata.audit import AuditStore


@pytest.fixture
async def audit(database_settings: Settings) -> AsyncIterator[AuditStore]:
    store = await AuditStore.open(database_settings)
    yield store
    await store.close()


def row(number: int, **given: Any) -> dict[str, Any]:
    return {
        "id": f"id-{number}",
        "at": float(number),
        "count": 1,
        "account": "111111111111",
        "region": "us-east-1",
        "principal": "arn:aws:iam::111111111111:user/ann",
        "principal_account": "111111111111",
        "principal_id": "AIDAX",
        "action": "ecr:BatchGetImage",
        "resource": "arn:aws:ecr:us-east-1:111111111111:repository/app",
        "allowed": True,
        "rule": "identity",
        "message": None,
        "context": "{}",
        "policies": "{}",
    } | given


async def test_a_decision_is_found_whole_by_its_id(audit: AuditStore) -> None:
    wanted = row(1, allowed=False, message="no", principal_account=None)
    await audit.append([row(0), wanted, row(2)])
    assert await audit.find("id-1") == wanted
    assert await audit.find("id-9") is None


async def test_no_rows_is_nothing_to_write(audit: AuditStore) -> None:
    await audit.append([])
    assert await audit.select() == []


async def test_the_last_denial_of_anyone_or_of_one_principal(audit: AuditStore) -> None:
    await audit.append(
        [row(1, allowed=False), row(2, allowed=False, principal="anonymous"), row(3), row(4, principal="anonymous")]
    )
    last, anns = await audit.last_denial(), await audit.last_denial(row(0)["principal"])
    assert last is not None
    assert anns is not None
    assert (last["id"], anns["id"]) == ("id-2", "id-1")
    assert await audit.last_denial("arn:aws:iam::111111111111:user/bob") is None


async def test_select_filters_and_tells_the_newest_first(audit: AuditStore) -> None:
    await audit.append(
        [row(number, action="ecr:PutImage" if number % 2 else "ecr:BatchGetImage") for number in range(10)]
    )

    async def ids(**given: Any) -> list[str]:
        return [each["id"] for each in await audit.select(**given)]

    assert await ids(action="ecr:PutImage", limit=2) == ["id-9", "id-7"]
    assert await ids(since=3.0, until=5.0) == ["id-4", "id-3"]
    assert await ids(account="222222222222") == []
    assert len(await ids(resource=row(0)["resource"])) == 10


async def test_forget_deletes_the_oldest_up_to_its_limit(audit: AuditStore) -> None:
    await audit.append([row(number) for number in range(10)])
    assert await audit.forget(6.0, limit=4) == 4
    assert [each["id"] for each in await audit.select()] == [f"id-{number}" for number in (9, 8, 7, 6, 5, 4)]
    assert await audit.forget(6.0) == 2
    assert await audit.forget(6.0) == 0


async def test_clear_leaves_nothing(audit: AuditStore) -> None:
    await audit.append([row(1)])
    await audit.clear()
    assert await audit.select() == []
