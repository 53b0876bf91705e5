"""Checks the stored bytes of layers after clients got them.

The server sends a whole layer straight from its file and does not hash it. So each layer that was sent is read here
once a day, one after the other and slowly. Bytes with another digest are logged and set aside: the layer is then
unavailable until the next push repairs it.
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
"""How long a layer with the right bytes is not checked again."""
WAITING: Final = 256
"""Layers that wait to be checked at most. Others are checked when they are sent again."""
_KNOWN: Final = 1 << 20
"""Bytes of the cache of checked layers."""
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
        self._has_some = asyncio.Event()

    def sent(self, layer: Layer) -> None:
        """Have the layer checked, because a client gets it."""
        if self._clock.elapsed() - self._checked.get(layer.digest, float("-inf")) < AGAIN_SECONDS:
            return
        if len(self._waiting) < WAITING:
            self._waiting[layer.digest] = layer
            self._has_some.set()

    async def run_forever(self) -> None:
        """Check until canceled. A layer that cannot be read is logged, and the next request for it fails."""
        while True:
            await self._has_some.wait()
            self._has_some.clear()
            while self._waiting:
                digest = next(iter(self._waiting))
                try:
                    await self.check(self._waiting[digest])
                except Exception as error:  # noqa: BLE001 - whatever it is, the others must be checked
                    _log.error("layer not verified", digest=digest, exc_info=error)
                finally:
                    self._waiting.pop(digest, None)

    async def check(self, layer: Layer) -> bool:
        """Read the layer and return whether its bytes are right; set wrong ones aside. OSError, BlobStoreError."""
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
