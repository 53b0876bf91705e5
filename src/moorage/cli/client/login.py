"""`moorage login`: log container tools in to a registry, once or through the credential helper."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from moorage.cli import options
from moorage.cli.client import local_server
from moorage.cli.server.banner import as_called, command
from moorage.login import tools
from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.endpoint import Endpoint, Password
from moorage.login.errors import EndpointError, LoginError
from moorage.login.hosts import Server, endpoint_of_environment, is_loopback, region_of, write_host
from moorage.login.keys import Found, find_key, is_minted
from moorage.login.passwords import Credential
from moorage.login.roles import assume
from moorage.login.server import Place, find_place
from moorage.settings import Settings

_HELPER = "docker-credential-moorage"

Host = Annotated[
    str | None,
    typer.Argument(help="Registry, as images name it, or its URL.", show_default="AWS_ENDPOINT_URL, else this machine"),
]
Account = Annotated[str | None, typer.Option(help="Account whose key is used: that of moorage init, else of dev mode.")]
EndpointUrl = Annotated[str | None, typer.Option(help="URL of the ECR API, if it is not at HOST.")]
Ca = Annotated[
    Path | None,
    typer.Option(help="CA certificate to trust (PEM).", exists=True, dir_okay=False, show_default="AWS_CA_BUNDLE"),
]


def login(
    host: Host = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Tool to log in; can be repeated. One of {', '.join(tools.TOOLS)}.", show_default="installed"
        ),
    ] = None,
    helper: Annotated[
        bool,
        typer.Option(
            "--helper", help=f"Install {_HELPER}, a credential helper that renews passwords for docker and others."
        ),
    ] = False,
    print_password: Annotated[
        bool, typer.Option("--print-password", help="Print the password without logging in; the user is AWS.")
    ] = False,
    profile: options.AwsProfile = None,
    account: Account = None,
    region: options.Region = None,
    endpoint_url: EndpointUrl = None,
    ca: Ca = None,
    containerd_hosts: Annotated[Path, typer.Option(help="containerd's directory of host files.")] = Path(
        "/etc/containerd/certs.d"
    ),
    data: options.Data = None,
    port: options.ServerPort = None,
) -> None:
    """Log docker, podman, skopeo, helm and others in to a registry.

    The key comes from the first of --profile, --account, AWS_ACCESS_KEY_ID, AWS_PROFILE, the file of moorage init, and
    the AWS CLI's default profile. moorage dev needs none.
    """
    settings = Settings.from_environment(port=port, data=data)
    here = local_server.served(settings, port)
    try:
        wanted = tools.chosen(tool or [], os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--tool") from error
    found = find_key(os.environ, settings.data, profile=profile, account=account)
    api = endpoint_url
    if api is None and host is None:
        api = here.url if port is not None else endpoint_of_environment(os.environ) or found.endpoint
    trust = str(ca) if ca is not None else os.environ.get("AWS_CA_BUNDLE")
    place = find_place(host, os.environ, here.url, endpoint=api, ca=trust or here.ca)
    trust = trust or local_server.ca_for(place.endpoint, here)
    in_region = region or region_of(place.hosts[0]) or local_server.region(settings, found)
    endpoint = Endpoint(place.endpoint, in_region, trust)
    reference = found.reference
    found, password = _password(endpoint, found, place)
    if print_password:
        sys.stdout.write(f"{password.secret}\n")
        return
    if ca is not None and not place.plain:
        _trust(place, ca)
    out = Console(highlight=False, soft_wrap=True)
    who, source = escape(_who(endpoint, found)), escape(found.source)
    out.print(f"{who} at [bold cyan]{place.endpoint}[/]  [dim](key: {source})[/]\n")
    if helper:
        kept = None if place.endpoint.startswith("http://") or not trust else str(Path(trust).resolve())
        _set_helper(out, place, Server(place.endpoint, in_region, reference, kept))
        return
    _log_in(out, wanted, place, password, ca, containerd_hosts)


def _password(endpoint: Endpoint, found: Found, place: Place) -> tuple[Found, Password]:
    """Return the password, and the key that requested it once all roles are assumed."""
    try:
        found = assume(found, endpoint)
        return found, endpoint.authorization(found.key)
    except EndpointError as error:
        said = f"{error}\n  key: {found.source}"
        host = place.hosts[0]
        if error.code == "UnrecognizedClientException" and is_minted(found.key) and is_loopback(host):
            said += f"\n  for the open keys of moorage dev: {command()} login --account 000000000000 {host}"
        if error.code == "tls":
            said += f"\n  if that CA is yours: {command()} login --ca moorage-tls/ca.crt {host}"
        raise LoginError(f"{said}\n  what is wrong: {command()} doctor {host}") from error


def _trust(place: Place, ca: Path) -> None:
    """Install the given CA for the tools too."""
    lines = [line for host in place.hosts for line in tools.trust(host, ca, os.environ)]
    if lines:
        typer.echo("To make the tools trust it, run:\n  " + "\n  ".join(lines) + "\n", err=True)


def _who(endpoint: Endpoint, found: Found) -> str:
    try:
        return endpoint.identity(found.key)
    except EndpointError:  # a registry with ECR and without STS
        return found.key.id


def _log_in(
    out: Console,
    wanted: list[tuple[str, str]],
    place: Place,
    password: Password,
    ca: Path | None,
    containerd_hosts: Path,
) -> None:
    if not wanted:
        raise LoginError(
            f"none of {', '.join(tools.TOOLS)} is installed here. Name one anyway (--tool docker writes "
            f"{config_file(os.environ)}), or print the password: --print-password"
        )
    credential = Credential(password.user, password.secret)
    jobs = [tools.Job(host, credential, place.plain, ca, os.environ, containerd_hosts) for host in place.hosts]
    width = max(len(names) for _, names in wanted) + 2
    failed, examples = False, []
    for tool, names in wanted:
        outcomes: dict[tools.Outcome, list[str]] = {}
        for job in jobs:
            outcomes.setdefault(tools.log_in(job, tool), []).append(job.host)
        for outcome, hosts in outcomes.items():
            failed = failed or not outcome.done
            mark, said, joint = (
                ("[green]✓[/]", "logged in to", "  ") if outcome.done else ("[bold red]✗[/]", "not", ": ")
            )
            out.print(f"  {mark} {names:<{width}}", end="")
            out.print(f"{said} {' and '.join(hosts)}{joint if outcome.text else ''}{outcome.text}", markup=False)
            for line in outcome.lines:
                out.print(f"    {'':<{width}}{as_called(line)}", style="bold", markup=False)
            if outcome.done:
                examples.append(tools.example(tool, jobs[0]))
    if examples:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(password.expires_at))
        out.print(f"\nGood until [bold]{until}[/] ({_span(password.expires_at - time.time())}).\n")
        out.print(f"  {examples[0]}", markup=False)
        again = f"{command()} login --helper {place.hosts[0]}"
        out.print(f"  {again}   [dim]# installs a credential helper, so that you never have to log in again[/]")
    if failed:
        raise typer.Exit(1)


def _set_helper(out: Console, place: Place, server: Server) -> None:
    configuration = DockerConfig(config_file(os.environ))
    for host in place.hosts:
        file = write_host(os.environ, host, server)
        configuration.set_helper(host, "moorage")
        tools.log_out(host, os.environ)
    hosts = " and ".join(place.hosts)
    out.print(f"  [green]✓[/] {configuration.file} asks {_HELPER} for {hosts}")
    out.print(f"  [green]✓[/] {file} names the server and where the key is stored; it contains no secret")
    if "environment" in server.key:
        out.print(f"""
[yellow]The key is only in this shell's environment, and docker would need it in every other.[/] Keep it in a profile:
  aws configure --profile moorage
  {command()} login --helper --profile moorage {place.hosts[0]}""")
    if shutil.which(_HELPER) is None:
        program = Path(sys.argv[0]).resolve().with_name(_HELPER)
        out.print(f"""
[yellow]docker looks for {_HELPER} on the PATH, and it is not there.[/] Put it there:
  sudo ln -sf {program} /usr/local/bin/{_HELPER}""")
    out.print(f"""
From now on there is nothing to log in to or to renew. crane, oras, regctl, helm, podman and skopeo read the same file.

  docker push {place.hosts[0]}/team/app:v1""")


def _span(seconds: float) -> str:
    """Return a duration as a person says it."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number = round(seconds / length)
        if number >= 1 and seconds >= length * 0.95:
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{seconds:.0f} seconds"
