"""A proposed repository policy tried on what was recorded."""

from typing import Final

import msgspec
from starlette.responses import Response

from moorage.analysis.replay import Baseline
from moorage.api.admin.json_lines import lines, progressing
from moorage.api.admin.operation import ADMIN, Call, ref_of, the_repository
from moorage.api.admin.service import AT_ONCE
from moorage.errors import LimitExceeded

REPLAY: Final = "moorage:ReplayPolicy"


class TryRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Times in seconds since the epoch: `since` inclusive, `until` exclusive (default: now)."""

    repository: str
    since: float
    policy: str | None = None
    """The proposed policy's text; None: as if there were none."""
    account: str | None = None
    until: float | None = None
    against: Baseline = "in-force"


@ADMIN.operation("/_moorage/policy/try", action=REPLAY, resource=the_repository, read_only=True)
async def attempt(call: Call, request: TryRequest) -> Response:
    services, ref = call.services, ref_of(call, request)
    proposed = None if request.policy is None else await services.policy_check.proposed(ref, request.policy)
    replay = await services.replays.prepare(
        ref, proposed, since=request.since, until=request.until, baseline=request.against
    )
    if services.replaying.locked():
        raise LimitExceeded(f"{AT_ONCE} replays are under way; try again when one has ended")
    return lines(progressing(replay.run(), services.replaying, "report"))
