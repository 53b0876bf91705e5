"""Checks of Docker on this machine: its configuration, its credential helpers, its engine."""

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import TIMEOUT, Target
from moorage.login.docker_config import DockerConfig, program_of
from moorage.login.errors import DockerConfigError, HostsBrokenError
from moorage.login.hosts import host_of, hosts_file, read_hosts

_DAEMON = Path("/etc/docker/daemon.json")
_EDIT = "python3 -c 'import json,sys; p=sys.argv[1]; c=json.load(open(p)); {}; json.dump(c,open(p,\"w\"),indent=1)' {}"
"""Return a command that changes a JSON file with Python alone, and keeps the rest of the file."""


def config(target: Target) -> Iterator[Finding]:
    """Check that docker's configuration can be read, and only by its owner."""
    found = target.docker
    if isinstance(found, DockerConfigError):
        file = str(found).partition(" ")[0]
        yield fail(str(found), f"mv {file} {file}.broken   # then log in again")
    elif not found.file.exists():
        yield ok(f"no {found.file} yet")
    elif found.content.get("auths") and found.file.stat().st_mode & 0o077:
        yield warn(f"others on this machine can read the passwords in {found.file}", f"chmod 600 {found.file}")
    else:
        yield ok(f"{found.file} is valid")


def helpers(target: Target) -> Iterator[Finding]:
    """Check that the helper that docker uses for this host is installed, and knows the host."""
    found = target.docker
    if isinstance(found, DockerConfigError):
        yield skip("docker's configuration cannot be read")
        return
    yield from _missing_store(target, found)
    helper = found.helper_of(target.host)
    if helper is None:
        yield ok(f"docker uses no credential helper for {target.host}")
        return
    if program_of(helper, target.environment) is None:
        if helper == found.content.get("credsStore"):
            return  # already reported
        line = _EDIT.format(f'del c["credHelpers"]["{target.host}"]', found.file)
        yield fail(
            f"docker uses docker-credential-{helper} for {target.host}, which is not on the PATH. Install it, or run",
            f"moorage login --helper {target.host}" if helper != "moorage" else line,
        )
    elif helper == "moorage":
        yield from _moorage_helper(target)
    elif helper == "ecr-login":
        yield from _ecr_helper(target)
    else:
        yield ok(f"docker uses docker-credential-{helper} for {target.host}")
    stale = [key for key, entry in found.content.get("auths", {}).items() if host_of(key) == target.host and entry]
    if stale:
        yield warn(
            f"{found.file} also contains a password for {target.host}; docker ignores it, "
            "because it uses a credential helper",
            _EDIT.format(f'del c["auths"]["{stale[0]}"]', found.file),
        )


def _missing_store(target: Target, found: DockerConfig) -> Iterator[Finding]:
    store = found.content.get("credsStore")
    if store and program_of(str(store), target.environment) is None:
        yield fail(
            f"docker keeps passwords in docker-credential-{store}, which is not on the PATH: logins and pulls fail. "
            f"To keep them in {found.file} instead",
            _EDIT.format('del c["credsStore"]', found.file),
        )


def _moorage_helper(target: Target) -> Iterator[Finding]:
    try:
        known = read_hosts(target.environment)
    except HostsBrokenError as error:
        file = hosts_file(target.environment)
        yield fail(str(error), f"mv {file} {file}.broken", f"moorage login --helper {target.host}")
        return
    if target.host in known:
        yield ok(f"docker uses docker-credential-moorage for {target.host}")
    else:
        yield fail(
            f"docker uses docker-credential-moorage for {target.host}, which is not configured for that host",
            f"moorage login --helper {target.host}",
        )


def _ecr_helper(target: Target) -> Iterator[Finding]:
    if ":" in target.host or ".ecr." not in target.host:
        yield fail(
            f"docker-credential-ecr-login accepts Amazon's host names only, not {target.host}; "
            "docker-credential-moorage accepts any",
            f"moorage login --helper {target.host}",
        )
    else:
        yield ok(f"docker uses docker-credential-ecr-login for {target.host}")


def engine(target: Target) -> Iterator[Finding]:
    """Check that docker's engine runs and, if the host uses plain HTTP, accepts that."""
    program = shutil.which("docker", path=target.environment.get("PATH"))
    if program is None:
        yield skip("docker is not installed")
        return
    said = _info(program, target)
    if isinstance(said, Finding):
        yield said
        return
    yield from _engine_proxy(target, said)
    if not target.place.plain:
        yield ok("the engine runs")
    elif _is_insecure(target, said.get("RegistryConfig") or {}):
        yield ok(f"the engine runs, and accepts plain HTTP for {target.host}")
    else:
        add = f'c.setdefault("insecure-registries",[]).append("{target.host}")'
        line = _EDIT.format(add, _DAEMON) if _DAEMON.exists() else _new_daemon_file(target.host)
        restart = "sudo systemctl restart docker"
        text = f"the engine requires TLS for {target.host}, which uses plain HTTP. Set up TLS (moorage ca), or run"
        yield fail(text, f"sudo {line}" if _DAEMON.exists() else line, restart)


def _new_daemon_file(host: str) -> str:
    return f'echo \'{{"insecure-registries": ["{host}"]}}\' | sudo tee {_DAEMON}'


def _info(program: str, target: Target) -> dict[str, Any] | Finding:
    try:
        done = subprocess.run(
            [program, "info", "--format", "{{json .}}"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=dict(target.environment),
        )
    except (OSError, subprocess.SubprocessError):
        return warn("docker's engine does not respond", "sudo systemctl restart docker")
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        said = {}
    problem = " ".join([*(said.get("ServerErrors") or []), done.stderr]).strip()
    if isinstance(said, dict) and said.get("ServerVersion"):
        return said
    if "permission denied" in problem.lower():
        return fail(
            "you are not allowed to use docker's engine", 'sudo usermod -aG docker "$USER"   # then log in again'
        )
    return warn("docker's engine does not run: pushing and pulling with docker needs it", "sudo systemctl start docker")


def _is_insecure(target: Target, registries: dict[str, Any]) -> bool:
    """Return whether the engine uses plain HTTP for this host: it does for loopback, and for configured hosts."""
    listed = (registries.get("IndexConfigs") or {}).get(target.host)
    if isinstance(listed, dict) and listed.get("Secure") is False:
        return True
    networks = [ipaddress.ip_network(each) for each in registries.get("InsecureRegistryCIDRs") or []]
    if target.name == "localhost":
        return True
    return any(ipaddress.ip_address(each) in network for each in target.addresses for network in networks)


def _engine_proxy(target: Target, said: dict[str, Any]) -> Iterator[Finding]:
    proxy = said.get("HttpProxy" if target.place.plain else "HttpsProxy")
    excepted = str(said.get("NoProxy") or "")
    if not proxy or target.is_local or any(part.strip() == target.name for part in excepted.split(",")):
        return
    both = f"{excepted},{target.name}".lstrip(",")
    directory = "/etc/systemd/system/docker.service.d"
    unit = f"printf '[Service]\\nEnvironment=NO_PROXY={both}\\n' | sudo tee {directory}/no-proxy.conf"
    yield warn(
        f"the engine uses a proxy. If the proxy cannot reach {target.name}, exclude the host from it",
        f"sudo mkdir -p {directory} && {unit}",
        "sudo systemctl daemon-reload && sudo systemctl restart docker",
    )
