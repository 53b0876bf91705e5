"""Tries a proposed repository policy on recorded requests."""

from typing import Final

import msgspec
from starlette.responses import Response

from moorage.analysis.replay import Baseline
from moorage.analysis.replay_report import ReplayLine, ReplayReport
from moorage.api.admin.json_lines import lines, progressing
from moorage.api.admin.operation import Call, ref_of
from moorage.api.admin.service import AT_ONCE
from moorage.errors import LimitExceeded

REPLAY: Final = "moorage:ReplayPolicy"


class TryRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Times are in seconds since the epoch: `since` is inclusive, `until` exclusive (default: now)."""

    repository: str
    since: float
    policy: str | None = None
    """Text of the proposed policy; None to try what deleting the policy would change."""
    account: str | None = None
    until: float | None = None
    against: Baseline = "in-force"


async def attempt(call: Call, request: TryRequest) -> Response:
    services, ref = call.services, ref_of(call, request)
    proposed = None if request.policy is None else await services.policy_check.proposed(ref, request.policy)
    replay = await services.replays.prepare(
        ref, proposed, since=request.since, until=request.until, baseline=request.against
    )
    if services.replaying.locked():
        raise LimitExceeded(f"{AT_ONCE} replays are running; try again when one has ended")
    return lines(progressing(replay.run(), services.replaying, _result))


def _result(report: ReplayReport) -> ReplayLine:
    return ReplayLine(report=report)
