"""Checks the stored bytes of layers that clients get, after they were sent.

The server sends a whole layer straight from its file, so nobody hashes it on the way. Each layer that was sent is read
once a day here, one after the other and at a fraction of the machine's speed. Bytes with another digest are logged and
set aside: from then on the layer is not there, and whoever pushes it next repairs it.
"""

import asyncio
import hashlib
import time
from typing import Final

import structlog

from moorage.cache import Cache, entry_footprint
from moorage.clock import Clock
from moorage.registry.layers.service import Layers
from moorage.registry.layers.types import Layer

AGAIN_SECONDS: Final = 86_400.0
"""How long what was found whole is believed."""
WAITING: Final = 256
"""Layers that wait. What is sent beyond them is checked when it is sent again."""
_KNOWN: Final = 1 << 20
"""Bytes of what is remembered of layers that were checked."""
_PAUSE: Final = 4.0
"""The pause after reading a piece, as a multiple of the time that it took."""

_log = structlog.get_logger(__name__)


class Verification:
    """The layers that wait to be checked, in one worker."""

    def __init__(self, layers: Layers, clock: Clock) -> None:
        self._layers = layers
        self._clock = clock
        self._waiting: dict[str, Layer] = {}
        self._checked: Cache[str, float] = Cache("verified_layers", _KNOWN, entry_footprint)
        self._something = asyncio.Event()

    def sent(self, layer: Layer) -> None:
        """A client got the whole layer, or is getting it."""
        if self._clock.elapsed() - self._checked.get(layer.digest, float("-inf")) < AGAIN_SECONDS:
            return
        if len(self._waiting) < WAITING:
            self._waiting[layer.digest] = layer
            self._something.set()

    async def run_forever(self) -> None:
        """Check until canceled. What cannot be read is left to the next request for it, which says so."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                digest = next(iter(self._waiting))
                try:
                    await self.check(self._waiting[digest])
                except Exception as error:  # noqa: BLE001 - whatever it is, the others must be checked
                    _log.error("layer not verified", digest=digest, exc_info=error)
                finally:
                    self._waiting.pop(digest, None)

    async def check(self, layer: Layer) -> bool:
        """Read the layer; whether its bytes are right. Wrong ones are set aside. OSError, LookupError."""
        algorithm, _, expected = layer.digest.partition(":")
        found = hashlib.new(algorithm)
        began = time.monotonic()
        async for piece in self._layers.read(layer, 0, layer.size):
            await asyncio.to_thread(found.update, piece)
            await asyncio.sleep(_PAUSE * (time.monotonic() - began))
            began = time.monotonic()
        self._checked.keep(layer.digest, self._clock.elapsed())
        if found.hexdigest() == expected:
            return True
        _log.error(
            "layer damaged: its stored bytes have another digest; set aside, push it again",
            digest=layer.digest,
            found=f"{algorithm}:{found.hexdigest()}",
        )
        await self._layers.set_aside(layer.digest, object_key=layer.object_key)
        return False
