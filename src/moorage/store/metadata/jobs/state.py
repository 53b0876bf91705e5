"""The states of a background job. It imports nothing, so that commands can use it without the database."""

from typing import Literal, TypeAlias

State: TypeAlias = Literal["queued", "running", "done", "dead", "canceled"]
"""`dead`: all attempts failed, and a person has to look at it. `queued` and `running` are unfinished."""
