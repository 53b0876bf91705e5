"""What only dev mode has: reset, the clock, injected faults. These calls are not signed; no web page reaches them."""

import msgspec
from starlette.responses import JSONResponse, Response

from moorage.api.admin.operation import Call
from moorage.api.injected_faults import Rule
from moorage.errors import MoorageError


class ClockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The time from now on, in seconds since the epoch; null for the time of the machine."""

    now: float | None


class OneWorkerOnly(MoorageError):
    """The clock and faults are in the memory of one process, and cannot be set for several."""

    code = "OneWorkerOnlyException"
    status = 409

    def __init__(self) -> None:
        super().__init__("The clock and faults are of one process: start with --workers 1 to set them.")


async def reset(call: Call, _request: None) -> Response:
    await call.services.reset()
    call.services.faults.clear()
    call.services.clock.unset()
    return JSONResponse({"status": "ok"})


async def set_clock(call: Call, request: ClockRequest) -> Response:
    _require_one_worker(call)
    clock = call.services.clock
    if request.now is None:
        clock.unset()
    else:
        clock.set(request.now)
    return JSONResponse({"now": clock.now()})


async def faults(call: Call, _request: None) -> Response:
    return _shown(call)


async def add_fault(call: Call, request: Rule) -> Response:
    _require_one_worker(call)
    call.services.faults.add(request)
    return _shown(call)


async def clear_faults(call: Call, _request: None) -> Response:
    call.services.faults.clear()
    return _shown(call)


def _shown(call: Call) -> Response:
    return JSONResponse({"faults": msgspec.to_builtins(call.services.faults.rules)})


def _require_one_worker(call: Call) -> None:
    """Raise OneWorkerOnly if there are other workers, which would not learn of the change."""
    if call.services.settings.workers > 1:
        raise OneWorkerOnly
