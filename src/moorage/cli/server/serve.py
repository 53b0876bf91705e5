"""`moorage serve`: a registry for a team, in which nothing is open."""

import dataclasses
from typing import Annotated

import typer

from moorage.cli import options
from moorage.cli.client import local_server
from moorage.cli.server import banner
from moorage.cli.server.initialized import Home
from moorage.server import CannotServeError, run
from moorage.settings import Settings


def serve(
    host: options.Host = None,
    port: options.Port = None,
    data: options.Data = None,
    workers: options.Workers = None,
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Plain HTTP on an address that is not loopback.")
    ] = None,
    profile: options.Profile = None,
    uri_style: options.UriStyle = None,
    database_url: options.DatabaseUrl = None,
    access_log: options.AccessLog = None,
    log_format: options.LogFormat = None,
) -> None:
    """Serve a registry: every caller needs a key of this server, and policies decide every request."""
    asked = Settings.from_environment(
        mode="serve",
        host=host,
        port=port,
        data=data,
        workers=workers,
        public_url=public_url,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        profile=profile,
        uri_style=uri_style,
        database_url=database_url,
        access_log=access_log,
        log_format=log_format,
    )
    home = Home.read(asked.data)
    if home is None:
        raise CannotServeError(f"nothing is set up in {asked.data}. First run: moorage init --data {asked.data}")
    settings = home.over(asked)
    run(settings, on_start=lambda ready: _started(home, ready))


def _started(home: Home, settings: Settings) -> None:
    if home.database_url != settings.database_url:
        dataclasses.replace(home, database_url=settings.database_url).write(settings.data)
    local_server.remember(settings)
    banner.show(settings)
