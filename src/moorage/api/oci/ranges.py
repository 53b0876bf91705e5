"""Range headers: `Range` of a blob's GET, and `Content-Range` of a chunk."""

import re
from typing import NamedTuple

from moorage.api.oci.errors import ChunkInvalid, RangeNotSatisfiable

_ONE_RANGE = re.compile(rb"bytes=\s*(\d{0,19})-(\d{0,19})\s*")
_CHUNK = re.compile(rb"(?:bytes )?(\d{1,19})-(\d{1,19})(?:/(?:\d{1,19}|\*))?")


class Span(NamedTuple):
    """Bytes `start` (inclusive) to `end` (exclusive)."""

    start: int
    end: int


def wanted(header: bytes | None, size: int) -> Span | None:
    """Return the part of `size` bytes that a Range header asks for; None for all of them.

    Several ranges and units other than bytes are ignored, as RFC 9110 allows. Raises RangeNotSatisfiable if the range
    begins beyond the end, or ends before it begins.
    """
    match = _ONE_RANGE.fullmatch(header) if header is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        span = Span(max(size - length, 0), size)
    else:
        start = int(match[1])
        span = Span(start, min(int(match[2]) + 1, size) if match[2] else size)
    if span.start >= span.end:
        raise RangeNotSatisfiable(size)
    return span


def chunk(header: bytes | None) -> Span | None:
    """Return the bytes that a chunk covers by its Content-Range (`0-1023`, or `bytes 0-1023/*`); None without one.

    Raises ChunkInvalid if the header is not valid, or ends before it begins.
    """
    if header is None:
        return None
    match = _CHUNK.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise ChunkInvalid("Content-Range is not <first byte>-<last byte>")
    return Span(int(match[1]), int(match[2]) + 1)
