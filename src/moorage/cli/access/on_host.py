"""`moorage access --on-host`: computes the matrix from the database, with every account that is stored in it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.analysis.access_report import AccessPage, AccessRequest
from moorage.cli.client.calls import ServerSaidNoError
from moorage.cli.declarative.on_host import with_secrets
from moorage.cli.on_host import settings_on_host
from moorage.errors import MoorageError
from moorage.names import InvalidNameError, RepositoryRef, account_id, repository_name
from moorage.settings import Settings

if TYPE_CHECKING:
    from moorage.analysis.reachability import Reachability
    from moorage.application import Components


def pages(data: Path | None, database_url: str | None, request: AccessRequest) -> list[AccessPage]:
    """Return the pages of `POST /_moorage/access`; a request without an account is for every account stored here."""
    settings = with_secrets(settings_on_host(data, database_url))
    try:
        return asyncio.run(_pages(settings, request))
    except (MoorageError, InvalidNameError) as error:
        raise ServerSaidNoError(str(error)) from error


async def _pages(settings: Settings, request: AccessRequest) -> list[AccessPage]:
    # Imported here, because it takes longer than most commands run.
    from moorage.analysis.reachability import Reachability  # noqa: PLC0415
    from moorage.application import open_components  # noqa: PLC0415

    components = await open_components(settings)
    try:
        reachability = Reachability(
            components.identity,
            components.registry,
            components.access,
            components.policy_check,
            settings,
            everywhere=True,
        )
        pages = _of_principal if request.principal is not None else _of_repository
        return [page async for page in pages(reachability, components, settings, request)]
    finally:
        await components.close()


async def _of_principal(
    reachability: "Reachability", components: "Components", _settings: Settings, request: AccessRequest
) -> AsyncIterator[AccessPage]:
    """Yield its access to every registry stored here, or to those of one account."""
    accounts = await components.identity.accounts.known() if request.account is None else [account_id(request.account)]
    for account in accounts:
        for region in await components.registry.repositories.regions(account):
            after: str | None = ""
            while after is not None:
                page = await reachability.of_principal(request.principal or "", account, region, request.given, after)
                yield page
                after = page.next


async def _of_repository(
    reachability: "Reachability", components: "Components", settings: Settings, request: AccessRequest
) -> AsyncIterator[AccessPage]:
    ref = await _the_repository(components, settings, request)
    before, past = None, request.before
    if past is not None:
        other = ref if past.repository is None else ref._replace(name=repository_name(past.repository))
        before = (other, past)
    after: str | None = ""
    while after is not None:
        page = await reachability.of_repository(ref, request.version, before, request.given, after)
        yield page
        after = page.next


async def _the_repository(components: "Components", settings: Settings, request: AccessRequest) -> RepositoryRef:
    """Return the repository with that name. Of several in an account, return the one in the default region."""
    name = repository_name(request.repository or "")
    accounts = await components.identity.accounts.known() if request.account is None else [account_id(request.account)]
    found = []
    for account in accounts:
        refs = [RepositoryRef(account, each, name) for each in await components.registry.repositories.regions(account)]
        there = [each for each in refs if await components.registry.repositories.state(each) is not None]
        found += sorted(there, key=lambda each: each.region != settings.default_region)[:1]
    if not found:
        raise ServerSaidNoError(f"There is no repository {name} here.")
    if len(found) > 1:
        raise ServerSaidNoError(
            f"several accounts have a repository {name}: choose one of "
            f"{', '.join(each.account for each in found)} with --account"
        )
    return found[0]
