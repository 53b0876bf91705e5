"""The passwords that clients would send: whose they are, and whether they are still good."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Patient
from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.errors import DockerConfigError, EndpointError
from moorage.login.passwords import Credential

_SOON = 1800.0  # seconds


def files(patient: Patient) -> dict[str, Path]:
    """Where each family of tools keeps its passwords, by the name that `moorage login --tool` takes."""
    environment = patient.environment
    home = Path(environment.get("HOME") or Path.home())
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}")
    shared = runtime / "containers" / "auth.json" if environment.get("XDG_RUNTIME_DIR") else runtime / "auth.json"
    return {
        "docker": config_file(environment),
        "podman": Path(environment.get("REGISTRY_AUTH_FILE") or shared),
        "helm": Path(environment.get("HELM_REGISTRY_CONFIG") or configuration / "helm" / "registry" / "config.json"),
    }


def passwords(patient: Patient) -> Iterator[Finding]:
    """Each tool's password for the host, if it has one, is good."""
    if patient.silence is not None:
        yield skip(patient.silence)
        return
    hosts = patient.place.hosts
    held = {host: list(_of_host(patient, host)) for host in hosts}
    missing = [host for host, findings in held.items() if not findings]
    if len(missing) == len(hosts):
        line = f"moorage login {patient.host}" if len(hosts) == 1 else f"moorage login --port {patient.port}"
        yield fail(f"nobody is logged in to {' or '.join(hosts)}", line)
        return
    for findings in held.values():
        yield from findings
    for host in missing:
        yield warn(f"nobody is logged in to {host}, as images may also be named", f"moorage login {host}")


def _of_host(patient: Patient, host: str) -> Iterator[Finding]:
    """What the tools hold for one spelling of the host; nothing when they hold nothing."""
    for tool, file in files(patient).items():
        try:
            credential = DockerConfig(file).credential_of(host, patient.environment)
        except DockerConfigError as error:
            if tool != "docker":
                yield warn(str(error), f"moorage login --tool {tool} {host}")
            elif "not installed" not in str(error) and "not JSON" not in str(error):
                # Docker's file, and whether its helper is there, were looked at before.
                yield fail(str(error), f"moorage login --helper {host}")
            continue
        if credential is not None:
            yield _judge(patient, f"moorage login --tool {tool} {host}", tool, credential)


def _judge(patient: Patient, again: str, tool: str, credential: Credential) -> Finding:
    if not patient.is_moorage:
        return _by_ping(patient, tool, credential, again)
    try:
        said = patient.document("/_moorage/password", credential)
    except EndpointError as error:
        return fail(str(error), again)
    if said["status code"] == 401:
        return fail(f"{tool}: the password was not made by this server, or not with the data it has now", again)
    if said["status code"] != 200:
        return _by_ping(patient, tool, credential, again)
    ends = said.get("expiresAt")
    when = "" if ends is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(float(ends)))
    if said.get("state") == "expired":
        return fail(f"{tool}: the password of {said.get('keyId')} ended at {when}", again)
    if said.get("state") == "revoked":
        return fail(f"{tool}: the key {said.get('keyId')} that the password was made with is gone", again)
    if ends is not None and float(ends) - time.time() < _SOON:
        return warn(f"{tool}: {said.get('arn')}, and ends soon, at {when}", again)
    return ok(f"{tool}: {said.get('arn')}{f', until {when}' if when else ''}")


def _by_ping(patient: Patient, tool: str, credential: Credential, again: str) -> Finding:
    try:
        status = patient.ask("GET", "/v2/", credential).status
    except EndpointError as error:
        return fail(str(error), again)
    if status == 200:
        return ok(f"{tool}: the password is taken")
    return fail(f"{tool}: the password is not taken ({status})", again)


def best(patient: Patient) -> Credential | None:
    """The credential that a push would be made with: docker's, podman's, helm's, else one minted now."""
    for file in files(patient).values():
        try:
            credential = DockerConfig(file).credential_of(patient.host, patient.environment)
        except DockerConfigError:
            continue
        try:
            if credential is not None and patient.ask("GET", "/v2/", credential).status == 200:
                return credential
        except EndpointError:
            return None
    if isinstance(patient.key, Exception):
        return None
    try:
        minted = patient.endpoint.authorization(patient.key.key)
    except EndpointError:
        return None
    return Credential(minted.user, minted.secret)
