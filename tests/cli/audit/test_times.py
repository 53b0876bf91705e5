"""Times as people write them."""

import contextlib
from datetime import datetime

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from moorage.cli.audit.times import end, moment, span

NOW = datetime(2026, 11, 25, 12, 30).astimezone().timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("7D", 604_800), ("1w", 604_800), ("1d12h", 129_600), ("1.5h", 5400)],
)
def test_spans(text: str, seconds: float) -> None:
    assert span(text) == seconds
    assert moment(text, NOW) == NOW - seconds


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", NOW),
        ("today", datetime(2026, 11, 25).astimezone().timestamp()),
        ("Yesterday", datetime(2026, 11, 24).astimezone().timestamp()),
        ("2026-11-20", datetime(2026, 11, 20).astimezone().timestamp()),
        ("2026-11-20T10:30", datetime(2026, 11, 20, 10, 30).astimezone().timestamp()),
        ("1970-01-01T00:10Z", 600.0),
        ("1970-01-01T02:10+02:00", 600.0),
        ("1795592279", 1795592279.0),
    ],
)
def test_moments(text: str, at: float) -> None:
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["", "soon", "2h ago", "-2h", "h", "2026-13-01", "12", "9" * 40, "1d" * 40 + "x"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, NOW)


@given(st.text(max_size=40))
def test_nothing_else_is_raised(text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        assert isinstance(moment(text, NOW), float)


def test_an_end_lies_ahead() -> None:
    assert end("2h", 1000.0) == 8200.0
    assert end("1y", 0.0) == 31_536_000.0
    assert end("2026-11-25T10:30Z", 0.0) == 1_795_602_600.0
    with pytest.raises(typer.BadParameter):
        end("soon", 0.0)


def test_a_bad_end_is_told_how_an_end_is_written() -> None:
    with pytest.raises(typer.BadParameter) as refused:
        end("someday", NOW)
    assert "ago" not in str(refused.value)
    assert "90d" in str(refused.value)
    assert "2027-01-31" in str(refused.value)
