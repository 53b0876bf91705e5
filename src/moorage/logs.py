"""Structured log lines on standard error: text for people, JSON for machines. Callers pass no secrets to them."""

import logging
import sys
import time
from typing import Final, Literal

import structlog


def configure(log_format: Literal["text", "json"]) -> None:
    """Set up structlog for this process; standard-library loggers of libraries stay at WARNING."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


class Seldom:
    """Logs the first of many equal warnings, and how many there were, at most once in a while.

    For what callers can bring about as often as they like: they must not fill the log.
    """

    EVERY: Final = 10.0
    """Seconds."""

    def __init__(self) -> None:
        self._at = -self.EVERY
        self._kept_back = 0

    def warning(self, event: str, **values: object) -> None:
        """Log a warning; `not_logged` counts those before it that were not."""
        now = time.monotonic()
        if now - self._at < self.EVERY:
            self._kept_back += 1
            return
        structlog.get_logger().warning(event, **values, not_logged=self._kept_back)
        self._at, self._kept_back = now, 0


refused_for_space = Seldom()
lost_bytes = Seldom()
