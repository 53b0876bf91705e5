"""Times on the command line: `2h`, `7d`, `yesterday`, `2026-11-25`, `2026-11-25T10:30Z`."""

import re
from datetime import datetime, timedelta
from typing import Final

import typer

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_SPAN: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?[smhdwy])+")
_PART: Final = re.compile(r"([0-9.]+)([smhdwy])")
_EPOCH: Final = re.compile(r"[0-9]{9,11}(?:\.[0-9]{1,9})?")


def span(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h`, `7d`, `1w` or `1d12h`. Raise BadParameter."""
    folded = text.strip().lower()
    if _SPAN.fullmatch(folded) is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 2h, 7d or 1d12h")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(folded))


def end(text: str, now: float) -> float:
    """Return seconds since the epoch, for a duration from now (`90d`, `2y`), a day or a time. Raise BadParameter."""
    if _SPAN.fullmatch(text.strip().lower()) is not None:
        return now + span(text)
    try:
        return moment(text, now)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is not a time in the future: use 30m, 12h, 90d or 2y (from now), 2027-01-31 or 2027-01-31T10:30Z"
        ) from None


def moment(text: str, now: float) -> float:
    """Return seconds since the epoch, for a duration before now (`2h`), a day, a time or seconds since the epoch.

    Times without a time zone are local. Raise BadParameter.
    """
    folded = text.strip().lower()
    if _SPAN.fullmatch(folded) is not None:
        return now - span(folded)
    if folded == "now":
        return now
    if folded in {"today", "yesterday"}:
        midnight = datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=folded == "yesterday")).timestamp()
    if _EPOCH.fullmatch(folded) is not None:
        return float(folded)
    try:
        return datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time: use 2h or 7d (ago), today, yesterday, 2026-11-25 or 2026-11-25T10:30Z"
        ) from None
