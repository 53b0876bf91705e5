"""Docker on this machine: its configuration, its helpers, its engine."""

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import TIMEOUT, Patient
from moorage.login.docker_config import DockerConfig, program_of
from moorage.login.errors import DockerConfigError, HostsBrokenError
from moorage.login.hosts import host_of, hosts_file, read_hosts

_DAEMON = Path("/etc/docker/daemon.json")
_EDIT = "python3 -c 'import json,sys; p=sys.argv[1]; c=json.load(open(p)); {}; json.dump(c,open(p,\"w\"),indent=1)' {}"
"""A line that changes a JSON file wherever there is a Python, and leaves the rest of it alone."""


def config(patient: Patient) -> Iterator[Finding]:
    """Docker's configuration can be read, and by nobody else."""
    found = patient.docker
    if isinstance(found, DockerConfigError):
        file = str(found).partition(" ")[0]
        yield fail(str(found), f"mv {file} {file}.broken   # then log in again")
    elif not found.file.exists():
        yield ok(f"no {found.file} yet")
    elif found.content.get("auths") and found.file.stat().st_mode & 0o077:
        yield warn(f"others on this machine can read the passwords in {found.file}", f"chmod 600 {found.file}")
    else:
        yield ok(f"{found.file} is sound")


def helpers(patient: Patient) -> Iterator[Finding]:
    """The helper that docker asks for this host is there, and knows it."""
    found = patient.docker
    if isinstance(found, DockerConfigError):
        yield skip("docker's configuration cannot be read")
        return
    yield from _missing_store(patient, found)
    helper = found.helper_of(patient.host)
    if helper is None:
        yield ok(f"no helper is asked for {patient.host}")
        return
    if program_of(helper, patient.environment) is None:
        if helper == found.content.get("credsStore"):
            return  # said already
        line = _EDIT.format(f'del c["credHelpers"]["{patient.host}"]', found.file)
        yield fail(
            f"docker asks docker-credential-{helper} for {patient.host}, which is not on the PATH. Install it, or",
            f"moorage login --helper {patient.host}" if helper != "moorage" else line,
        )
    elif helper == "moorage":
        yield from _moorage_helper(patient)
    elif helper == "ecr-login":
        yield from _ecr_helper(patient)
    else:
        yield ok(f"docker-credential-{helper} is asked for {patient.host}")
    stale = [key for key, entry in found.content.get("auths", {}).items() if host_of(key) == patient.host and entry]
    if stale:
        yield warn(
            f"{found.file} also holds a password for {patient.host}; docker does not look at it, as a helper is named",
            _EDIT.format(f'del c["auths"]["{stale[0]}"]', found.file),
        )


def _missing_store(patient: Patient, found: DockerConfig) -> Iterator[Finding]:
    store = found.content.get("credsStore")
    if store and program_of(str(store), patient.environment) is None:
        yield fail(
            f"docker keeps passwords in docker-credential-{store}, which is not on the PATH: logins and pulls fail. "
            f"To keep them in {found.file} instead",
            _EDIT.format('del c["credsStore"]', found.file),
        )


def _moorage_helper(patient: Patient) -> Iterator[Finding]:
    try:
        known = read_hosts(patient.environment)
    except HostsBrokenError as error:
        file = hosts_file(patient.environment)
        yield fail(str(error), f"mv {file} {file}.broken", f"moorage login --helper {patient.host}")
        return
    if patient.host in known:
        yield ok(f"docker-credential-moorage is asked for {patient.host}")
    else:
        yield fail(
            f"docker-credential-moorage is asked for {patient.host}, and was never told whose key opens it",
            f"moorage login --helper {patient.host}",
        )


def _ecr_helper(patient: Patient) -> Iterator[Finding]:
    if ":" in patient.host or ".ecr." not in patient.host:
        yield fail(
            f"docker-credential-ecr-login takes names of Amazon's only, not {patient.host}; Moorage's own takes any",
            f"moorage login --helper {patient.host}",
        )
    else:
        yield ok(f"docker-credential-ecr-login is asked for {patient.host}")


def engine(patient: Patient) -> Iterator[Finding]:
    """Docker's engine runs and, where the host speaks plain HTTP, takes that."""
    program = shutil.which("docker", path=patient.environment.get("PATH"))
    if program is None:
        yield skip("docker is not installed")
        return
    said = _info(program, patient)
    if isinstance(said, Finding):
        yield said
        return
    yield from _engine_proxy(patient, said)
    if not patient.place.plain:
        yield ok("the engine runs")
    elif _is_insecure(patient, said.get("RegistryConfig") or {}):
        yield ok(f"the engine runs, and takes plain HTTP from {patient.host}")
    else:
        add = f'c.setdefault("insecure-registries",[]).append("{patient.host}")'
        line = _EDIT.format(add, _DAEMON) if _DAEMON.exists() else _new_daemon_file(patient.host)
        restart = "sudo systemctl restart docker"
        text = f"the engine wants TLS from {patient.host}, which speaks plain HTTP. Best give it TLS (moorage ca); else"
        yield fail(text, f"sudo {line}" if _DAEMON.exists() else line, restart)


def _new_daemon_file(host: str) -> str:
    return f'echo \'{{"insecure-registries": ["{host}"]}}\' | sudo tee {_DAEMON}'


def _info(program: str, patient: Patient) -> dict[str, Any] | Finding:
    try:
        done = subprocess.run(
            [program, "info", "--format", "{{json .}}"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=dict(patient.environment),
        )
    except (OSError, subprocess.SubprocessError):
        return warn("docker's engine does not answer", "sudo systemctl restart docker")
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        said = {}
    problem = " ".join([*(said.get("ServerErrors") or []), done.stderr]).strip()
    if isinstance(said, dict) and said.get("ServerVersion"):
        return said
    if "permission denied" in problem.lower():
        return fail("you may not speak to docker's engine", 'sudo usermod -aG docker "$USER"   # then log in anew')
    return warn("docker's engine does not run: pushing and pulling with docker needs it", "sudo systemctl start docker")


def _is_insecure(patient: Patient, registries: dict[str, Any]) -> bool:
    """Does the engine speak plain HTTP to this host? It does to loopback always, and to what it was told."""
    listed = (registries.get("IndexConfigs") or {}).get(patient.host)
    if isinstance(listed, dict) and listed.get("Secure") is False:
        return True
    networks = [ipaddress.ip_network(each) for each in registries.get("InsecureRegistryCIDRs") or []]
    if patient.name == "localhost":
        return True
    return any(ipaddress.ip_address(each) in network for each in patient.addresses for network in networks)


def _engine_proxy(patient: Patient, said: dict[str, Any]) -> Iterator[Finding]:
    proxy = said.get("HttpProxy" if patient.place.plain else "HttpsProxy")
    excepted = str(said.get("NoProxy") or "")
    if not proxy or patient.is_local or any(part.strip() == patient.name for part in excepted.split(",")):
        return
    both = f"{excepted},{patient.name}".lstrip(",")
    directory = "/etc/systemd/system/docker.service.d"
    unit = f"printf '[Service]\\nEnvironment=NO_PROXY={both}\\n' | sudo tee {directory}/no-proxy.conf"
    yield warn(
        f"the engine goes through a proxy. If that does not reach {patient.name}, except it",
        f"sudo mkdir -p {directory} && {unit}",
        "sudo systemctl daemon-reload && sudo systemctl restart docker",
    )
