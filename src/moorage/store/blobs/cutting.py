"""Cuts a stream of bytes into parts of a fixed size, for stores that have a minimum size of parts."""

from collections.abc import AsyncIterator


async def cut(stream: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the bytes of `stream` as parts of exactly `size` bytes, and at the end the rest if there is one.

    Holds one part and one chunk of the stream in memory.
    """
    part = bytearray()
    async for chunk in stream:
        start = 0
        while len(part) + len(chunk) - start >= size:
            end = start + size - len(part)
            part += chunk[start:end]
            yield bytes(part)
            part.clear()
            start = end
        part += chunk[start:]
    if part:
        yield bytes(part)
