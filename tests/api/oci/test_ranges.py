"""Range and Content-Range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.api.oci.errors import ChunkInvalid, RangeNotSatisfiable
from moorage.api.oci.ranges import Span, chunk, wanted


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        (b"bytes=0-", Span(0, 100)),
        (b"bytes=10-19", Span(10, 20)),
        (b"bytes=10-1000", Span(10, 100)),
        (b"bytes=-5", Span(95, 100)),
        (b"bytes=-500", Span(0, 100)),
        (b"bytes=0-1,5-6", None),
        (b"lines=1-2", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
    ],
)
def test_ranges_of_a_hundred_bytes(header: bytes | None, span: Span | None) -> None:
    assert wanted(header, 100) == span


@pytest.mark.parametrize("header", [b"bytes=100-", b"bytes=500-0", b"bytes=-0", b"bytes=100-200"])
def test_ranges_that_are_not_there(header: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable):
        wanted(header, 100)


def test_nothing_has_no_ranges() -> None:
    with pytest.raises(RangeNotSatisfiable):
        wanted(b"bytes=0-0", 0)


def test_chunks() -> None:
    assert chunk(None) is None
    assert chunk(b"0-9") == Span(0, 10)
    assert chunk(b"bytes 5-5/*") == Span(5, 6)
    for bad in (b"", b"5", b"9-5", b"-5", b"0-x", b"0-9-"):
        with pytest.raises(ChunkInvalid):
            chunk(bad)


@given(st.binary(max_size=30), st.integers(0, 1000))
def test_any_range_header_is_read(header: bytes, size: int) -> None:
    try:
        span = wanted(b"bytes=" + header, size)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size
