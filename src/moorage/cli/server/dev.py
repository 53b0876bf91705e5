"""`moorage dev`: a registry for development on this machine, with open keys, ready in under two seconds."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client import local_server
from moorage.cli.server import banner
from moorage.cli.server.initialized import Home
from moorage.server import CannotServeError, run
from moorage.settings import Settings


def dev(
    host: options.Host = None,
    port: options.Port = None,
    data: options.Data = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Delete the data when the process ends.")] = False,
    workers: options.Workers = None,
    profile: options.Profile = None,
    uri_style: options.UriStyle = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    database_url: options.DatabaseUrl = None,
    access_log: options.AccessLog = None,
    log_format: options.LogFormat = None,
) -> None:
    """Start a registry for development: on loopback only, with any key, and with repositories created on push."""
    temporary = Path(tempfile.mkdtemp(prefix="moorage-")) if ephemeral else None
    settings = Settings.from_environment(
        mode="dev",
        host=host,
        port=port,
        data=temporary or data,
        ephemeral=ephemeral,
        workers=workers,
        profile=profile,
        uri_style=uri_style,
        tls_cert=tls_cert,
        tls_key=tls_key,
        database_url=database_url,
        access_log=access_log,
        log_format=log_format,
    )
    if Home.read(settings.data) is not None:
        raise CannotServeError(
            f"{settings.data} was set up by `moorage init` for `moorage serve`. In dev mode every user of this machine "
            "would be root of its accounts, without a password. Run `moorage serve`, or name another directory with "
            "--data"
        )
    try:
        run(settings, on_start=_started)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _started(settings: Settings) -> None:
    local_server.remember(settings)
    banner.show(settings)
