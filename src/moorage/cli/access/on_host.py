"""`moorage access --on-host`: the same matrix from the database, with everybody in every account that is kept here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.declarative.on_host import with_secrets
from moorage.cli.on_host import settings_on_host
from moorage.errors import MoorageError
from moorage.names import InvalidNameError, RepositoryRef, account_id, repository_name
from moorage.settings import Settings

if TYPE_CHECKING:
    from moorage.analysis.reachability import Answer, Reach
    from moorage.application import Components


def pages(data: Path | None, database_url: str | None, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages of answers that `POST /_moorage/access` has, here without an account for all that are kept."""
    settings = with_secrets(settings_on_host(data, database_url))
    try:
        return asyncio.run(_pages(settings, asked))
    except (MoorageError, InvalidNameError) as error:
        raise ServerSaidNoError(str(error)) from error


async def _pages(settings: Settings, asked: dict[str, Any]) -> list[dict[str, Any]]:
    # Imported here: they take longer than every other command does altogether.
    import msgspec  # noqa: PLC0415

    from moorage.analysis.reachability import Reach  # noqa: PLC0415
    from moorage.application import open_components  # noqa: PLC0415

    components = await open_components(settings)
    try:
        reach = Reach(
            components.identity,
            components.registry,
            components.access,
            components.policy_check,
            settings,
            everywhere=True,
        )
        found = _of_principal if asked.get("principal") is not None else _of_repository
        return [json async for page in found(reach, components, settings, asked) if (json := msgspec.to_builtins(page))]
    finally:
        await components.close()


async def _of_principal(
    reach: "Reach", components: "Components", _settings: Settings, asked: dict[str, Any]
) -> AsyncIterator["Answer"]:
    """Its access in every registry here, or in those of one account."""
    accounts = await components.declared.accounts() if asked["account"] is None else [account_id(asked["account"])]
    for account in accounts:
        for region in await components.registry.repositories.regions(account):
            after: str | None = ""
            while after is not None:
                page = await reach.of_principal(asked["principal"], account, region, asked["given"], after)
                yield page
                after = page.next


async def _of_repository(
    reach: "Reach", components: "Components", settings: Settings, asked: dict[str, Any]
) -> AsyncIterator["Answer"]:
    import msgspec  # noqa: PLC0415

    from moorage.analysis.reachability import Version  # noqa: PLC0415

    ref = await _the_repository(components, settings, asked)
    version, before = msgspec.convert(asked["version"], Version), None
    if asked["before"] is not None:
        past = msgspec.convert(asked["before"], Version)
        other = ref if past.repository is None else ref._replace(name=repository_name(past.repository))
        before = (other, past)
    after: str | None = ""
    while after is not None:
        page = await reach.of_repository(ref, version, before, asked["given"], after)
        yield page
        after = page.next


async def _the_repository(components: "Components", settings: Settings, asked: dict[str, Any]) -> RepositoryRef:
    """The repository of that name, wherever it is; of several, the one in the default region of an account."""
    name = repository_name(asked["repository"])
    accounts = await components.declared.accounts() if asked["account"] is None else [account_id(asked["account"])]
    found = []
    for account in accounts:
        refs = [RepositoryRef(account, each, name) for each in await components.registry.repositories.regions(account)]
        there = [each for each in refs if await components.registry.repositories.state(each) is not None]
        found += sorted(there, key=lambda each: each.region != settings.default_region)[:1]
    if not found:
        raise ServerSaidNoError(f"there is no repository {name} here")
    if len(found) > 1:
        raise ServerSaidNoError(
            f"several accounts have a repository {name}: choose one of "
            f"{', '.join(each.account for each in found)} with --account"
        )
    return found[0]
