"""The settings of a registry: known names and values, each registry's own."""

import pytest

from moorage.clock import Clock
from moorage.errors import InvalidParameter
from moorage.names import Region
from moorage.registry.account_settings.rules import DEFAULTS, VALUES
from moorage.registry.account_settings.service import AccountSettings
from moorage.store.metadata.database.database import Database
from tests.registry.pushing import BY, REF

ELSEWHERE = Region("us-west-2")


async def test_defaults_until_something_is_put(database: Database) -> None:
    settings = AccountSettings(database, Clock())
    for name, default in DEFAULTS.items():
        assert await settings.get(REF.account, REF.region, name) == default
        assert default in VALUES[name]


async def test_a_value_is_kept_for_its_registry_alone(database: Database) -> None:
    settings = AccountSettings(database, Clock())
    for value in ("ENABLED", "DISABLED", "ENABLED"):
        await settings.put(REF.account, REF.region, "BLOB_MOUNTING", value, by=BY)
        assert await AccountSettings(database, Clock()).get(REF.account, REF.region, "BLOB_MOUNTING") == value
    assert await settings.get(REF.account, ELSEWHERE, "BLOB_MOUNTING") == "DISABLED"


@pytest.mark.parametrize("name", ["", "blob_mounting", "BLOB_MOUNTING ", "OTHER"])
async def test_names_that_ecr_does_not_know(database: Database, name: str) -> None:
    settings = AccountSettings(database, Clock())
    with pytest.raises(InvalidParameter, match=r"Member must satisfy enum value set: .*BLOB_MOUNTING"):
        await settings.get(REF.account, REF.region, name)
    with pytest.raises(InvalidParameter, match="parameter at 'name'"):
        await settings.put(REF.account, REF.region, name, "ENABLED", by=BY)


@pytest.mark.parametrize("value", ["", "enabled", "V1"])
async def test_values_that_the_name_does_not_take(database: Database, value: str) -> None:
    settings = AccountSettings(database, Clock())
    with pytest.raises(InvalidParameter, match=r"parameter at 'value'.*\[ENABLED, DISABLED\]"):
        await settings.put(REF.account, REF.region, "BLOB_MOUNTING", value, by=BY)
    assert await settings.get(REF.account, REF.region, "BLOB_MOUNTING") == "DISABLED"
