"""Streams of layers that this worker sends piece by piece, and how much memory they may take.

The server queues about 27 messages for a client that does not read. A few streams get large pieces, which cost little
processor time. The others get small ones, so that many clients that do not read take little memory together.
"""

from collections.abc import AsyncGenerator
from typing import Final

from moorage.api.oci.ranges import Span
from moorage.registry.layers.service import Layers
from moorage.registry.layers.types import Layer

FEW: Final = 64
"""Streams with large pieces. Each takes about half a MiB if its client does not read."""
LARGE_PIECE: Final = 8 << 10
"""Bytes of one message."""
SMALL_PIECE: Final = 2 << 10
"""Bytes of one message of the other streams: 27 messages are less than 64 KiB."""
SMALL_READ: Final = 16 << 10
"""Bytes that the other streams read at a time, without reading ahead."""


class Streams:
    """Yields the pieces of layers."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self.open = 0
        """Streams that have begun and not ended."""

    async def pieces(self, layer: Layer, span: Span) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of `span` in pieces. Close the iterator when the client disconnects."""
        few = self.open < FEW
        self.open += 1
        try:
            if few:
                async for chunk in self._layers.read(layer, span.start, span.end):
                    for start in range(0, len(chunk), LARGE_PIECE):
                        yield chunk[start : start + LARGE_PIECE]
            else:
                for begin in range(span.start, span.end, SMALL_READ):
                    async for chunk in self._layers.read(layer, begin, min(begin + SMALL_READ, span.end)):
                        for start in range(0, len(chunk), SMALL_PIECE):
                            yield chunk[start : start + SMALL_PIECE]
        finally:
            self.open -= 1
