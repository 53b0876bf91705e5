"""Checks of the passwords that clients would send: whose they are, and whether they are still valid."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Target
from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.errors import DockerConfigError, EndpointError
from moorage.login.passwords import Credential

_SOON = 1800.0  # seconds


def files(target: Target) -> dict[str, Path]:
    """Where each family of tools stores its passwords, by the name that `moorage login --tool` accepts."""
    environment = target.environment
    home = Path(environment.get("HOME") or Path.home())
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}")
    shared = runtime / "containers" / "auth.json" if environment.get("XDG_RUNTIME_DIR") else runtime / "auth.json"
    return {
        "docker": config_file(environment),
        "podman": Path(environment.get("REGISTRY_AUTH_FILE") or shared),
        "helm": Path(environment.get("HELM_REGISTRY_CONFIG") or configuration / "helm" / "registry" / "config.json"),
    }


def passwords(target: Target) -> Iterator[Finding]:
    """Check that the password of each tool for the host, if it has one, is valid."""
    if target.silence is not None:
        yield skip(target.silence)
        return
    hosts = target.place.hosts
    held = {host: list(_of_host(target, host)) for host in hosts}
    missing = [host for host, findings in held.items() if not findings]
    if len(missing) == len(hosts):
        line = f"moorage login {target.host}" if len(hosts) == 1 else f"moorage login --port {target.port}"
        yield fail(f"no tool is logged in to {' or '.join(hosts)}", line)
        return
    for findings in held.values():
        yield from findings
    for host in missing:
        yield warn(f"no tool is logged in to {host}, the other name of this server", f"moorage login {host}")


def _of_host(target: Target, host: str) -> Iterator[Finding]:
    """Yield findings on the tools' passwords for one spelling of the host; nothing if they have none."""
    for tool, file in files(target).items():
        try:
            credential = DockerConfig(file).credential_of(host, target.environment)
        except DockerConfigError as error:
            if tool != "docker":
                yield warn(str(error), f"moorage login --tool {tool} {host}")
            elif "not installed" not in str(error) and "not JSON" not in str(error):
                # Docker's file and helper were checked before.
                yield fail(str(error), f"moorage login --helper {host}")
            continue
        if credential is not None:
            yield _judge(target, f"moorage login --tool {tool} {host}", tool, credential)


def _judge(target: Target, again: str, tool: str, credential: Credential) -> Finding:
    if not target.is_moorage:
        return _by_ping(target, tool, credential, again)
    try:
        said = target.document("/_moorage/password", credential)
    except EndpointError as error:
        return fail(str(error), again)
    if said["status code"] == 401:
        return fail(f"{tool}: the password was not issued by this server, or its data has been replaced since", again)
    if said["status code"] != 200:
        return _by_ping(target, tool, credential, again)
    ends = said.get("expiresAt")
    when = "" if ends is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(float(ends)))
    if said.get("state") == "expired":
        return fail(f"{tool}: the password of {said.get('keyId')} expired at {when}", again)
    if said.get("state") == "revoked":
        return fail(f"{tool}: the key {said.get('keyId')} of the password no longer exists", again)
    if ends is not None and float(ends) - time.time() < _SOON:
        return warn(f"{tool}: {said.get('arn')}, and expires soon, at {when}", again)
    return ok(f"{tool}: {said.get('arn')}{f', until {when}' if when else ''}")


def _by_ping(target: Target, tool: str, credential: Credential, again: str) -> Finding:
    try:
        status = target.ask("GET", "/v2/", credential).status
    except EndpointError as error:
        return fail(str(error), again)
    if status == 200:
        return ok(f"{tool}: the password is accepted")
    return fail(f"{tool}: the password is refused ({status})", again)


def best(target: Target) -> Credential | None:
    """Return the credential that a push would use: docker's, podman's or helm's, or else a new one."""
    for file in files(target).values():
        try:
            credential = DockerConfig(file).credential_of(target.host, target.environment)
        except DockerConfigError:
            continue
        try:
            if credential is not None and target.ask("GET", "/v2/", credential).status == 200:
                return credential
        except EndpointError:
            return None
    if isinstance(target.key, Exception):
        return None
    try:
        minted = target.endpoint.authorization(target.key.key)
    except EndpointError:
        return None
    return Credential(minted.user, minted.secret)
