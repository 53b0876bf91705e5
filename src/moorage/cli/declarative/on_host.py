"""`moorage apply --on-host` and `moorage export --on-host`: the same as a server does, over the same database."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.on_host import acting_on_host, record, settings_on_host
from moorage.cli.server.initialized import write_key
from moorage.errors import MoorageError
from moorage.login.keys import Key
from moorage.names import AccountId, InvalidNameError, account_id
from moorage.settings import Settings

if TYPE_CHECKING:
    from moorage.application import Components
    from moorage.declarative.declaration import File


def apply(data: Path | None, database_url: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of `POST /_moorage/apply`; root keys of new accounts are kept in the data directory too."""
    settings = with_secrets(settings_on_host(data, database_url))
    if not asked["dry_run"]:
        acting_on_host(settings)
    answer = asyncio.run(_applied(settings, asked))
    for key in answer["keys"]:
        if key["user"] is None:
            write_key(settings.data, key["account"], Key(key["accessKeyId"], key["secretAccessKey"]))
    return answer


def export(data: Path | None, database_url: str | None, accounts: Sequence[str]) -> str:
    """The file of these accounts; of everything, when none are named."""
    return asyncio.run(_exported(with_secrets(settings_on_host(data, database_url)), _ids(accounts)))


def with_secrets(settings: Settings) -> Settings:
    """Another key than the servers' would seal secrets that they cannot open."""
    if settings.sealing_keys is None and not (settings.data / "sealing.key").exists():
        raise ServerSaidNoError(f"the registry's sealing.key is not in {settings.data}; say --data")
    return settings


def _ids(accounts: Sequence[str]) -> list[AccountId]:
    try:
        return [account_id(each) for each in accounts]
    except InvalidNameError as error:
        raise ServerSaidNoError(str(error)) from error


async def _applied(settings: Settings, asked: dict[str, Any]) -> dict[str, Any]:
    # Imported here: they take longer than every other command does altogether.
    from moorage.application import open_components  # noqa: PLC0415
    from moorage.declarative import reader  # noqa: PLC0415

    accounts = _ids(asked["accounts"])
    try:
        file = reader.read(asked["text"])
        if accounts:
            file = file.part(accounts)
        components = await open_components(settings)
        try:
            return await _applied_to(components, settings, file, asked)
        finally:
            await components.close()
    except MoorageError as error:
        raise ServerSaidNoError(error.message) from error


async def _applied_to(
    components: "Components", settings: Settings, file: "File", asked: dict[str, Any]
) -> dict[str, Any]:
    """What came of the file, which is in the audit record by then."""
    from moorage.access.organization import managers  # noqa: PLC0415
    from moorage.declarative.executor import OPERATOR  # noqa: PLC0415
    from moorage.declarative.service import ApplyOptions, result_as_json  # noqa: PLC0415

    concerned = [*file.accounts]
    if file.has_organization:
        document = None if file.organization is None else file.organization.document
        concerned += await managers(components.identity.organizations, document)
    refusal: MoorageError | None = None
    try:
        outcome = await components.declarative_files.apply(
            file, ApplyOptions(asked["dry_run"], asked["prune"], asked["keys"]), OPERATOR
        )
        if outcome.failed is not None:
            _, refusal = outcome.failed
        return result_as_json(outcome)
    except MoorageError as error:
        refusal = error
        raise
    finally:
        if not asked["dry_run"]:
            await record(components.audit, settings, "Apply", dict.fromkeys(concerned), asked, refusal)


async def _exported(settings: Settings, accounts: list[AccountId]) -> str:
    from moorage.application import open_components  # noqa: PLC0415

    components = await open_components(settings)
    try:
        named = accounts or await components.identity.accounts.known()
        return "".join([text async for text in components.declarative_files.export(named, organization=not accounts)])
    finally:
        await components.close()
