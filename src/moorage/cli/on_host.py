"""Commands that work on the database itself, without a server: whoever runs the machine may do everything."""

from pathlib import Path
from typing import Annotated

import typer

from moorage.cli.client import ServerSaidNoError
from moorage.settings import Settings

OnHost = Annotated[
    bool, typer.Option("--on-host", help="Write into the database itself, as whoever runs this machine.")
]


def settings_on_host(data: Path | None, database_url: str | None) -> Settings:
    """The settings of a registry that is here. ServerSaidNoError."""
    settings = Settings.from_environment(data=data, database_url=database_url)
    if settings.database_url is None and not (settings.data / "moorage.db").exists():
        raise ServerSaidNoError(f"there is no registry in {settings.data}; if it is in PostgreSQL, say --database-url")
    return settings
