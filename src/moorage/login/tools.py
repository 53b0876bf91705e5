"""The container tools that can be logged in. A password goes to a program's stdin or into a file of mode 0600, never
onto a command line.

docker's file also serves crane, oras, regctl and nerdctl; podman, skopeo and buildah share a file of their own.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.errors import LoginError
from moorage.login.files import write_private
from moorage.login.passwords import Credential

_PATIENCE = 60.0  # seconds
_NO_VERIFY, _NO_TLS = " --tls-verify=false", " --insecure-registry"
DOCKER_CERTIFICATES = Path("/etc/docker/certs.d")
_CONTAINERS = ("podman", "skopeo", "buildah")
_CONTAINERD = Path("/etc/containerd/certs.d")


class Job(NamedTuple):
    """What every tool needs: a credential for a host, how to connect to the host, and which CA to trust."""

    host: str
    credential: Credential
    plain: bool
    ca: Path | None
    environment: Mapping[str, str]
    containerd_hosts: Path = _CONTAINERD


class Outcome(NamedTuple):
    """The outcome: a note, or the reason of a failure, and the commands to run if something is left to do."""

    done: bool
    text: str = ""
    lines: tuple[str, ...] = ()


class Tool(NamedTuple):
    """A tool by its usual name: its program, the tools that share its login, how to log in, and an example of a push,
    with the flag that plain HTTP needs."""

    program: str
    family: str
    login: Callable[[Job], Outcome]
    example: str
    plain: str = ""


def chosen(names: Sequence[str], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the tools to log in, one of each family: pairs of a tool and the names of the family, such as `podman,
    skopeo`.

    `names` are included whether installed or not. Without names, every installed tool is included except containerd,
    whose files belong to the machine. Raises ValueError with the name of an unknown tool.
    """
    unknown = [name for name in names if name not in TOOLS]
    if unknown:
        raise ValueError(f"{unknown[0]} is not one of {', '.join(TOOLS)}")
    path = environment.get("PATH")
    wanted = names or [
        name for name, tool in TOOLS.items() if name != "containerd" and shutil.which(tool.program, path=path)
    ]
    families: dict[str, list[str]] = {}
    for name in wanted:
        families.setdefault(TOOLS[name].family, []).append(name)
    return [(members[0], ", ".join(members)) for members in families.values()]


def log_in(job: Job, tool: str) -> Outcome:
    """Log one tool in. A failure is an outcome too."""
    try:
        return TOOLS[tool].login(job)
    except (LoginError, OSError) as error:
        return Outcome(False, str(error), (f"moorage doctor {job.host}",))


def _docker(job: Job) -> Outcome:
    """Run `docker login`, which knows docker's own rules; write docker's file if that is not possible."""
    file = config_file(job.environment)
    program = shutil.which("docker", path=job.environment.get("PATH"))
    if program is None or DockerConfig(file).helper_of(job.host) == "moorage":
        return _docker_file(job)
    done = _run([program, "login", "--username", job.credential.user, "--password-stdin", job.host], job)
    if done.returncode == 0:
        return Outcome(True, _keeper(file, job.host))
    said = _said(done, job)
    if "Cannot connect to the Docker daemon" in said:  # docker before 28 asks its engine
        return _docker_file(job)
    return Outcome(False, said, _advice(said, job, DOCKER_CERTIFICATES))


def _docker_file(job: Job) -> Outcome:
    file = config_file(job.environment)
    configuration = DockerConfig(file)
    if configuration.helper_of(job.host) == "moorage":
        return Outcome(True, "by docker-credential-moorage, as before")
    configuration.set_auth(job.host, job.credential, job.environment)
    return Outcome(True, _keeper(file, job.host))


def _keeper(file: Path, host: str) -> str:
    helper = DockerConfig(file).helper_of(host)
    return f"in {file}" if helper is None else f"kept by docker-credential-{helper}"


def _containers(job: Job) -> Outcome:
    """Log in podman, skopeo and buildah: any of them that is installed writes the file that all of them read."""
    path = job.environment.get("PATH")
    program = next(filter(None, (shutil.which(each, path=path) for each in _CONTAINERS)), None)
    if program is None:
        return Outcome(False, "none of podman, skopeo and buildah is installed")
    verify = ["--tls-verify=false"] if job.plain else []
    done = _run([program, "login", "--username", job.credential.user, "--password-stdin", *verify, job.host], job)
    if done.returncode != 0:
        said = _said(done, job)
        return Outcome(False, said, _advice(said, job, _containers_certificates(job.environment)))
    return Outcome(True, "push and pull need --tls-verify=false" if job.plain else "")


def _helm(job: Job) -> Outcome:
    program = shutil.which("helm", path=job.environment.get("PATH"))
    if program is None:
        return Outcome(False, "helm is not installed")
    login = [program, "registry", "login", job.host, "--username", job.credential.user, "--password-stdin"]
    trust = ["--ca-file", str(job.ca)] if job.ca is not None else []
    done = _run([*login, *(["--plain-http"] if job.plain else trust)], job)
    if done.returncode != 0 and job.plain and "unknown flag" in done.stderr:  # helm before 3.18
        done = _run([*login, "--insecure"], job)
    if done.returncode != 0:
        said = _said(done, job)
        return Outcome(False, said, _advice(said, job, None))
    need = "--plain-http" if job.plain else " ".join(trust)
    return Outcome(True, f"push and pull need {need}" if need else "")


def _containerd(job: Job) -> Outcome:
    """Log in containerd. It stores no passwords, but sends the headers of its host file: one of them contains the
    password."""
    url = f"{'http' if job.plain else 'https'}://{job.host}"
    basic = base64.b64encode(f"{job.credential.user}:{job.credential.secret}".encode()).decode()
    quoted = json.dumps(url)  # a TOML basic string accepts what JSON's does
    lines = [
        f"server = {quoted}",
        "",
        f"[host.{quoted}]",
        '  capabilities = ["pull", "resolve", "push"]',
        *([f"  ca = {json.dumps(str(job.ca.resolve()))}"] if job.ca is not None else []),
        f"  [host.{quoted}.header]",
        f'    authorization = ["Basic {basic}"]',
    ]
    file = job.containerd_hosts / job.host / "hosts.toml"
    write_private(file, "\n".join(lines) + "\n")
    return Outcome(True, f"through {file}")


def example(tool: str, job: Job) -> str:
    """Return the next command for a tool that is logged in."""
    found = TOOLS[tool]
    plain = found.plain if job.plain else ""
    return found.example.format(host=job.host, plain=plain, hosts=job.containerd_hosts)


def log_out(host: str, environment: Mapping[str, str]) -> None:
    """Remove what podman's and helm's own files contain for `host`: they take precedence over docker's file and its
    helper."""
    for program, *arguments in (["podman", "logout"], ["skopeo", "logout"], ["helm", "registry", "logout"]):
        found = shutil.which(program, path=environment.get("PATH"))
        if found is not None:
            nobody = Job(host, Credential("", "-"), plain=False, ca=None, environment=environment)
            _run([found, *arguments, host], nobody)


TOOLS: dict[str, Tool] = {
    "docker": Tool("docker", "docker", _docker, "docker push {host}/team/app:v1"),
    "crane": Tool("crane", "docker", _docker_file, "crane push image.tar {host}/team/app:v1"),
    "oras": Tool("oras", "docker", _docker_file, "oras push{plain} {host}/team/app:v1 FILE", " --plain-http"),
    "regctl": Tool("regctl", "docker", _docker_file, "regctl image copy SOURCE {host}/team/app:v1"),
    "nerdctl": Tool(
        "nerdctl", "docker", _docker_file, "nerdctl push{plain} {host}/team/app:v1", " --insecure-registry"
    ),
    "podman": Tool("podman", "containers", _containers, "podman push{plain} {host}/team/app:v1", _NO_VERIFY),
    "skopeo": Tool("skopeo", "containers", _containers, "skopeo list-tags{plain} docker://{host}/team/app", _NO_VERIFY),
    "buildah": Tool("buildah", "containers", _containers, "buildah push{plain} IMAGE {host}/team/app:v1", _NO_VERIFY),
    "helm": Tool("helm", "helm", _helm, "helm push{plain} app-0.1.0.tgz oci://{host}/charts", " --plain-http"),
    "containerd": Tool("ctr", "containerd", _containerd, "ctr images pull --hosts-dir {hosts} {host}/team/app:v1"),
}


def _run(arguments: Sequence[str], job: Job) -> "subprocess.CompletedProcess[str]":
    """Run the program with the password on its stdin."""
    try:
        return subprocess.run(
            arguments,
            input=job.credential.secret,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env=dict(job.environment),
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 1, "", f"no end after {_PATIENCE:.0f} s")


def _said(done: "subprocess.CompletedProcess[str]", job: Job) -> str:
    """Return the last line of the program's output, with the password removed."""
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return (lines[-1] if lines else f"ended with {done.returncode}").replace(job.credential.secret, "…")[:500]


def trust(host: str, ca: Path, environment: Mapping[str, str]) -> list[str]:
    """Install the CA where docker's engine and podman look for it. Return the commands to run if this user may not."""
    path, lines, places = environment.get("PATH"), [], []
    if shutil.which("docker", path=path):
        places.append(DOCKER_CERTIFICATES)
    if any(shutil.which(each, path=path) for each in _CONTAINERS):
        places.append(_containers_certificates(environment))
    for certificates in places:
        target = certificates / host / "ca.crt"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(ca.read_bytes())
        except OSError:
            lines.append(_install_line(certificates, host, ca))
    return lines


def _containers_certificates(environment: Mapping[str, str]) -> Path:
    """Where podman, skopeo and buildah look for a person's CAs."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "certs.d"


def _install_line(certificates: Path, host: str, ca: Path) -> str:
    sudo = "sudo " if certificates == DOCKER_CERTIFICATES else ""
    return f"{sudo}install -D -m 644 {ca} {certificates / host / 'ca.crt'}"


def _advice(said: str, job: Job, certificates: Path | None) -> tuple[str, ...]:
    if ("x509" in said or "certificate" in said) and certificates is not None:
        return (_install_line(certificates, job.host, job.ca or Path("CA.crt")),)
    return (f"moorage doctor {job.host}",)
