"""JSON as commands print it."""

import msgspec


def indented(value: object) -> str:
    """Return `value` as JSON, indented by two spaces."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
