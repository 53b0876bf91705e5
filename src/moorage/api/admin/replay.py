"""A proposed repository policy tried on what was recorded."""

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moorage.access.replay import Baseline
from moorage.api.admin.lines import lines, progressing
from moorage.api.admin.service import AdminServices
from moorage.api.admin.trail import is_read
from moorage.errors import LimitExceeded

REPLAY: Final = "moorage:ReplayPolicy"
AT_ONCE: Final = 2
"""Replays that one worker runs at a time."""


class TryRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Times in seconds since the epoch: `since` inclusive, `until` exclusive (default: now)."""

    repository: str
    since: float
    policy: str | None = None
    """The proposed policy's text; None: as if there were none."""
    account: str | None = None
    until: float | None = None
    against: Baseline = "in-force"


def routes(services: AdminServices) -> list[Route]:
    running = asyncio.Semaphore(AT_ONCE)

    async def attempt(request: Request) -> Response:
        is_read(request)
        signed = await services.signed(request)
        asked = signed.decoded(TryRequest)
        ref = await services.permitted(signed, REPLAY, asked.repository, asked.account)
        proposed = None if asked.policy is None else await services.policy_check.proposed(ref, asked.policy)
        replay = await services.replays.prepare(
            ref, proposed, since=asked.since, until=asked.until, baseline=asked.against
        )
        if running.locked():
            raise LimitExceeded(f"{AT_ONCE} replays are under way; try again when one has ended")
        return lines(progressing(replay.run(), running, "report"))

    return [Route("/_moorage/policy/try", attempt, methods=["POST"])]
