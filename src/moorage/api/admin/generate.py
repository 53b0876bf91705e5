"""The least policy for what was used, as the record has it."""

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moorage.api.admin.lines import lines, progressing
from moorage.api.admin.replay import REPLAY
from moorage.api.admin.service import AdminServices
from moorage.api.admin.trail import is_read
from moorage.errors import LimitExceeded, RepositoryNotFound

AT_ONCE: Final = 2


class GenerateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Times in seconds since the epoch: `since` inclusive, `until` exclusive (default: now)."""

    repository: str
    since: float
    account: str | None = None
    until: float | None = None
    identity: str | None = None
    """ARN of the user or role whose identity policy is wanted; else the repository's policy is."""
    everybody: bool = False
    by_network: bool = False


def routes(services: AdminServices) -> list[Route]:
    running = asyncio.Semaphore(AT_ONCE)

    async def generate(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        asked = signed.decoded(GenerateRequest)
        ref = await services.permitted(signed, REPLAY, asked.repository, asked.account)
        state = await services.registry.repositories.state(ref)
        if state is None:
            raise RepositoryNotFound(ref)
        if running.locked():
            raise LimitExceeded(f"{AT_ONCE} policies are being made; try again when one is ready")
        await services.recorder.flush()
        until = services.clock.now() if asked.until is None else asked.until
        if asked.identity is not None:
            made = services.generator.for_identity(ref, asked.identity, since=asked.since, until=until)
        else:
            made = services.generator.for_repository(
                ref, since=asked.since, until=until, everybody=asked.everybody, by_network=asked.by_network
            )
        return lines(progressing(made, running, "generated"))

    return [Route("/_moorage/policy/generate", generate, methods=["POST"])]
