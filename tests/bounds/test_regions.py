"""Any name of their form is a region, and each has quotas of its own: so an account has only so many regions."""

import dataclasses
import json

from sqlalchemy import Connection, event, insert

from moorage.registry.quotas import MAX_REGIONS
from moorage.settings import Settings
from moorage.store.metadata.database.database import Database
from moorage.store.metadata.repositories import regions
from moorage.store.metadata.tables import account_settings
from tests.support.in_process import Reply, in_process

STATEMENT = {"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}
PULL = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})


async def test_an_account_has_so_many_regions(database_settings: Settings) -> None:
    async with in_process(dataclasses.replace(database_settings, mode="dev")) as registry:

        async def call(operation: str, region: str, key: str = "test", **parameters: str) -> Reply:
            return await registry.ask(operation, json.dumps(parameters).encode(), key=key, region=region)

        async def ok(operation: str, region: str, key: str = "test", **parameters: str) -> None:
            reply = await call(operation, region, key, **parameters)
            assert reply.status == 200, reply

        for number in range(MAX_REGIONS - 2):
            await ok("CreateRepository", f"zz-anything-{number}", repositoryName="team/app")
        await ok("PutRegistryPolicy", "zz-policy-1", policyText=PULL)
        await ok("PutAccountSetting", "zz-setting-1", name="BLOB_MOUNTING", value="ENABLED")

        for operation, parameters in (
            ("CreateRepository", {"repositoryName": "team/app"}),
            ("PutRegistryPolicy", {"policyText": PULL}),
            ("PutAccountSetting", {"name": "BLOB_MOUNTING", "value": "ENABLED"}),
        ):
            refused = await call(operation, "zz-beyond-1", **parameters)
            assert refused.error[0] == "LimitExceededException", refused
            await ok(operation, "zz-anything-1", **parameters | _another(operation))
        await ok("CreateRepository", "zz-policy-1", repositoryName="team/app")
        # Another account has its own; a deleted repository still counts, since it can be restored.
        await ok("CreateRepository", "zz-beyond-1", key="111122223333", repositoryName="team/app")
        await ok("DeleteRepository", "zz-anything-2", repositoryName="team/app")
        refused = await call("CreateRepository", "zz-beyond-1", repositoryName="team/app")
        assert refused.error[0] == "LimitExceededException"
        await ok("CreateRepository", "zz-anything-2", repositoryName="team/app")


def _another(operation: str) -> dict[str, str]:
    return {"repositoryName": "team/other"} if operation == "CreateRepository" else {}


async def test_the_regions_of_an_account_are_found_in_one_statement_a_table(database: Database) -> None:
    """However many there are: each statement is a round trip to PostgreSQL, within the transaction of a write."""
    account, names = "111122223333", [f"zz-anything-{number:03}" for number in range(40)]

    def found(conn: Connection, most: int) -> tuple[set[str], int]:
        statements: list[str] = []
        event.listen(conn, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        return regions.used(conn, account, most), len(statements)

    def keep(conn: Connection) -> None:
        rows = [{"account": account, "region": each, "name": "a", "value": "b"} for each in names]
        conn.execute(insert(account_settings), rows)

    await database.transaction(keep)
    assert await database.read(lambda conn: found(conn, 100)) == (set(names), 4)
    assert await database.read(lambda conn: found(conn, 10)) == (set(names[:10]), 4)
