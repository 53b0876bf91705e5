"""Structured log lines on standard error: text for people, JSON for machines. Callers never log secrets."""

import io
import logging
import logging.config
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import structlog

LogFormat: TypeAlias = Literal["text", "json"]


class _StandardError(io.StringIO):
    """Return the current standard error: loggers outlive the stream that they were created with."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_standard_error: Final = _StandardError()


def configure(log_format: LogFormat) -> None:
    """Configure structlog for this process. Loggers of libraries stay at WARNING, in the same format."""
    formatter = {"()": _formatter, "log_format": log_format}
    handler = {"class": "logging.StreamHandler", "stream": _standard_error, "formatter": "lines"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": formatter},
            "handlers": {"stderr": handler},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
        }
    )
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*_common(), structlog.processors.format_exc_info, _renderer(log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=_standard_error),
        cache_logger_on_first_use=True,
    )


def warn(log_format: LogFormat) -> Callable[[str], None] | None:
    """Return what takes the warnings of a program that logs in this format; None if a person reads standard error."""
    return structlog.get_logger().warning if log_format == "json" else None


def _formatter(*, log_format: LogFormat, **_: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _renderer(log_format),
        ],
        foreign_pre_chain=_common(),
    )


def _common() -> list[structlog.typing.Processor]:
    return [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]


def _renderer(log_format: LogFormat) -> structlog.typing.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


class Seldom:
    """Logs the first of many equal warnings, and their number, at most once in a period.

    It is for what callers can cause as often as they like: they must not fill the log.
    """

    EVERY: Final = 10.0
    """The period, in seconds."""

    def __init__(self) -> None:
        self._at = -self.EVERY
        self._kept_back = 0

    def warning(self, event: str, **values: object) -> None:
        """Log a warning. `not_logged` counts the warnings before it that were not logged."""
        now = time.monotonic()
        if now - self._at < self.EVERY:
            self._kept_back += 1
            return
        structlog.get_logger().warning(event, **values, not_logged=self._kept_back)
        self._at, self._kept_back = now, 0


refused_for_space = Seldom()
lost_bytes = Seldom()
