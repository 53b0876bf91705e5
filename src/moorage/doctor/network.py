"""Checks of name, port and proxies: whether the server can be reached at all."""

import errno
import ipaddress
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Target
from moorage.login.hosts import region_of


def name(target: Target) -> Iterator[Finding]:
    """Check that the host name resolves."""
    if target.addresses:
        shown = ", ".join(target.addresses[:4])
        yield ok(f"{target.name} is {shown}" if shown != target.name else f"{shown} is an address")
    elif target.name.endswith(".localhost"):
        port = f":{target.port}"
        match = target.name.split(".")
        plain = f"; or name images localhost{port}/{match[0]}/{match[3]}/…" if region_of(target.host) else ""
        yield fail(
            f"{target.name} does not resolve: few systems resolve names under localhost{plain}",
            _hosts_line("127.0.0.1", target.name),
        )
    else:
        yield fail(
            f"{target.name} does not resolve. If you know its address, use it in place of ADDRESS",
            _hosts_line("ADDRESS", target.name),
        )


def _hosts_line(address: str, host: str) -> str:
    return f"echo '{address} {host}' | sudo tee -a /etc/hosts"


def port(target: Target) -> Iterator[Finding]:
    """Check that something accepts connections there."""
    if not target.addresses:
        yield skip("the name does not resolve")
        return
    refusal = target.refusal
    if refusal is None:
        yield ok(f"port {target.port} accepts connections")
    elif target.is_local:
        said = f"nothing listens on port {target.port} of this machine"
        if ":" not in target.host:
            said += f"; {target.host} names no port, and Moorage's is 4580"
            yield fail(said, f"moorage doctor {target.host}:4580")
        else:
            data = f" --data {target.data}" if target.data != Path("moorage-data") else ""
            started = "serve" if (target.data / "registry.json").exists() else "dev"
            yield fail(f"{said}. Start it", f"moorage {started} --port {target.port}{data}")
    elif refusal.errno == errno.ECONNREFUSED:
        yield fail(
            f"{target.addresses[0]} refuses connections to port {target.port}: nothing listens there. On the server",
            f"moorage serve --host 0.0.0.0 --port {target.port} --public-url {target.registry_url} "
            "--tls-cert moorage-tls/server.crt --tls-key moorage-tls/server.key",
        )
    else:
        reason = refusal.strerror or str(refusal) or type(refusal).__name__
        yield fail(
            f"cannot connect to port {target.port} of {target.addresses[0]} ({reason}). A firewall? On the server",
            f"sudo ufw allow {target.port}/tcp   # or the command that opens a port there",
        )


def proxy(target: Target) -> Iterator[Finding]:
    """Check that no HTTP proxy receives requests that are meant for the registry."""
    scheme = "http" if target.place.plain else "https"
    variable = next(
        (each for each in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
         if target.environment.get(each)), None
    )  # fmt: skip
    if variable is None:
        yield ok("no proxy is set")
        return
    if _is_excepted(target.name, target.environment):
        yield ok(f"{variable} is set, and {target.name} is excluded from it")
        return
    both = (f'{each}="{target.name}${{{each}:+,${each}}}"' for each in ("NO_PROXY", "no_proxy"))
    line = f"export {' '.join(both)}"
    if target.is_local:
        yield fail(f"{variable} sends the AWS CLI's calls to this machine through a proxy, which cannot reach it", line)
    else:
        yield warn(
            f"{variable} sends clients through a proxy. If it cannot reach {target.name}, exclude the host from it",
            line,
        )


def _is_excepted(host: str, environment: Mapping[str, str]) -> bool:
    """Return whether `no_proxy` lists the host, by the rules that clients agree on: names and their parents, addresses,
    networks, `*`."""
    entries = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for entry in (part.strip().lower() for part in entries.split(",")):
        if entry == "*" or (entry and (host == entry.lstrip(".") or host.endswith("." + entry.lstrip(".")))):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def owner_of(port_number: int) -> str | None:
    """Return the program that listens on a port of this machine, as `name (pid)`; None if unknown (Linux only)."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port_number:
                sockets.add(f"socket:[{fields[9]}]")
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in sockets for each in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return None


def who_listens(port_number: int) -> str:
    """Return the command that shows which program listens on a port."""
    return f"sudo ss -ltnp 'sport = :{port_number}'" if shutil.which("ss") else f"sudo lsof -i :{port_number}"
