"""`moorage apply --on-host` and `moorage export --on-host`: what a server does, on the same database."""

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


def apply(data: Path | None, database_url: str | None, request: dict[str, Any]) -> dict[str, Any]:
    """Return what `POST /_moorage/apply` returns. Root keys of new accounts are also stored in the data directory."""
    settings = with_secrets(settings_on_host(data, database_url))
    if not request["dry_run"]:
        acting_on_host(settings)
    answer = asyncio.run(_applied(settings, request))
    for key in answer["keys"]:
        if key["user"] is None:
            write_key(settings.data, key["account"], Key(key["accessKeyId"], key["secretAccessKey"]))
    return answer


def export(data: Path | None, database_url: str | None, accounts: Sequence[str]) -> str:
    """Return the file of these accounts, or of everything if none are named."""
    return asyncio.run(_exported(with_secrets(settings_on_host(data, database_url)), _ids(accounts)))


def with_secrets(settings: Settings) -> Settings:
    """Raise ServerSaidNoError without the registry's sealing key. Servers open only secrets sealed with that."""
    if settings.sealing_keys is None and not (settings.data / "sealing.key").exists():
        raise ServerSaidNoError(f"the registry's sealing.key is not in {settings.data}; add --data DIR")
    return settings


def _ids(accounts: Sequence[str]) -> list[AccountId]:
    try:
        return [account_id(each) for each in accounts]
    except InvalidNameError as error:
        raise ServerSaidNoError(str(error)) from error


async def _applied(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    # Imported here, because they take longer to import than other commands take to run.
    from moorage.application import open_components  # noqa: PLC0415
    from moorage.declarative import reader  # noqa: PLC0415

    accounts = _ids(request["accounts"])
    try:
        file = reader.read(request["text"])
        if accounts:
            file = file.part(accounts)
        components = await open_components(settings)
        try:
            return await _applied_to(components, settings, file, request)
        finally:
            await components.close()
    except MoorageError as error:
        raise ServerSaidNoError(error.message) from error


async def _applied_to(
    components: "Components", settings: Settings, file: "File", request: dict[str, Any]
) -> dict[str, Any]:
    """Apply the file, and record the call in the audit record."""
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
            file, ApplyOptions(request["dry_run"], request["prune"], request["keys"]), OPERATOR
        )
        if outcome.failed is not None:
            _, refusal = outcome.failed
        return result_as_json(outcome)
    except MoorageError as error:
        refusal = error
        raise
    finally:
        if not request["dry_run"]:
            await record(components.audit, settings, "Apply", dict.fromkeys(concerned), request, refusal)


async def _exported(settings: Settings, accounts: list[AccountId]) -> str:
    from moorage.application import open_components  # noqa: PLC0415

    components = await open_components(settings)
    try:
        named = accounts or await components.identity.accounts.known()
        return "".join([text async for text in components.declarative_files.export(named, organization=not accounts)])
    finally:
        await components.close()
