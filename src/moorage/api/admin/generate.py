"""Generates the smallest policy that allows the recorded requests."""

import msgspec
from starlette.responses import Response

from moorage.analysis.generated_policy import GeneratedPolicy, GenerateLine
from moorage.api.admin.json_lines import lines, progressing
from moorage.api.admin.operation import Call, ref_of
from moorage.api.admin.service import AT_ONCE
from moorage.errors import LimitExceeded, RepositoryNotFound


class GenerateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Times are in seconds since the epoch: `since` is inclusive, `until` exclusive (default: now)."""

    repository: str
    since: float
    account: str | None = None
    until: float | None = None
    identity: str | None = None
    """ARN of the user or role to generate an identity policy for; default: generate a repository policy."""
    everybody: bool = False
    by_network: bool = False


async def generate(call: Call, request: GenerateRequest) -> Response:
    services, ref = call.services, ref_of(call, request)
    state = await services.registry.repositories.state(ref)
    if state is None:
        raise RepositoryNotFound(ref)
    if services.generating.locked():
        raise LimitExceeded(f"{AT_ONCE} policies are being generated; try again when one is ready")
    await services.recorder.flush()
    until = services.clock.now() if request.until is None else request.until
    if request.identity is not None:
        steps = services.generator.for_identity(
            ref, request.identity, asking=call.account, since=request.since, until=until
        )
    else:
        steps = services.generator.for_repository(
            ref, since=request.since, until=until, everybody=request.everybody, by_network=request.by_network
        )
    return lines(progressing(steps, services.generating, _result))


def _result(generated: GeneratedPolicy) -> GenerateLine:
    return GenerateLine(generated=generated)
