"""Every setting: name, default, environment variable and meaning, in one frozen object."""

import difflib
import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from moorage.names import AccountId, Region, account_id, region

DAY = 86_400.0
DEFAULT_PORT = 4580
MIB = 1 << 20

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::"})  # noqa: S104 - what they are called

_PREFIX = "MOORAGE_"
_OTHER_VARIABLES = ("MOORAGE_CONFIG",)
"""The variable of the credential helper (`login/hosts.py`)."""
_OF_KUBERNETES = re.compile(
    r"MOORAGE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
    r"|MOORAGE_\w+_PORT"
)

Network = IPv4Network | IPv6Network
ForwardedHeaders = Literal["x-forwarded", "forwarded"]


class SettingError(ValueError):
    """The value of a setting is not valid. The message names the setting."""


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is also read from the environment variable `MOORAGE_` + its name in capitals."""

    mode: Literal["dev", "serve"] = _setting("serve", "dev: open keys, loopback only; serve: nothing is open")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(DEFAULT_PORT, "port to listen on")
    data: Path = _setting(Path("moorage-data"), "directory of the database, the blobs and the keys")
    ephemeral: bool = _setting(False, "keep the data in a temporary directory that goes with the process")
    workers: int = _setting(1, "worker processes")
    database_url: str | None = _setting(None, "postgresql://… ; SQLite in the data directory when unset")
    blob_store: Literal["files", "memory"] = _setting(
        "files", "where layers are kept: files in the data directory; memory only with --ephemeral and one worker"
    )
    sealing_keys: str | None = _setting(None, "keys that seal secrets at rest; the file sealing.key when unset")

    default_account: AccountId = _setting(AccountId("000000000000"), "account of a host name that names none")
    default_region: Region = _setting(Region("us-east-1"), "region of a host name that names none")
    public_url: str | None = _setting(None, "how clients reach this server, e.g. https://registry.example.com")
    hosts: tuple[str, ...] = _setting((), "further host names to answer to (comma-separated)")
    uri_style: Literal["request", "aws", "host", "path"] | None = _setting(
        None, "form of repositoryUri: request (dev's default), aws, host or path (serve's default)"
    )
    profile: Literal["oci", "aws"] = _setting("oci", "data plane: the OCI specification, or ECR's deviations")
    create_on_push: bool | None = _setting(None, "create repositories on push (default: only in dev mode)")

    anonymous_pull: bool = _setting(
        False,
        "serve requests without credentials as an anonymous caller, which can pull what policies allow to everyone",
    )

    tls_cert: Path | None = _setting(None, "certificate chain, PEM")
    tls_key: Path | None = _setting(None, "private key, PEM (PKCS#8)")
    insecure: bool = _setting(False, "allow plain HTTP on an address that is not loopback")
    oidc_issuers: Path | None = _setting(
        None, "JSON file of OIDC issuers whose tokens AssumeRoleWithWebIdentity accepts"
    )
    trusted_proxies: tuple[Network, ...] = _setting((), "networks of proxies whose forwarded headers count")
    forwarded_headers: ForwardedHeaders = _setting(
        "x-forwarded", "headers that these proxies set: x-forwarded (X-Forwarded-*) or forwarded (RFC 7239)"
    )
    metrics_public: bool = _setting(False, "serve /metrics to callers that are not on loopback")

    http2: bool = _setting(False, "serve HTTP/2 as well as HTTP/1.1")
    header_seconds: float = _setting(
        10.0, "how long a client may take to send a request's headers, and how long an idle connection is kept"
    )
    connections: int = _setting(2048, "open connections, per worker; at most half of the files it may open")
    connections_per_address: int = _setting(
        512, "connections from one address (IPv6: one /64), except trusted proxies; 0: no limit"
    )
    body_pause_seconds: float = _setting(30.0, "how long a client may pause while it sends a body")
    body_bytes_per_second: int = _setting(8192, "how fast a client must send a body on average")

    shutdown_seconds: float = _setting(
        30.0, "how long requests may take to finish after SIGTERM; a second signal ends the server at once"
    )

    access_log: bool = _setting(False, "write a log line for each request")
    log_format: Literal["text", "json"] = _setting("text", "format of log lines")

    clock_skew_seconds: float = _setting(300.0, "how far the signing time of a request may be off")
    password_seconds: float = _setting(12 * 3600.0, "lifetime of a registry password")
    download_url_seconds: float = _setting(900.0, "lifetime of a download URL; 900 at most")
    page_token_seconds: float = _setting(DAY, "lifetime of a nextToken")
    root_recovers: bool = _setting(
        True, "the verified root of an account may always get, set and delete its repository policies"
    )

    trash_seconds: float = _setting(7 * DAY, "how long deleted repositories, images and tags can be restored")
    upload_seconds: float = _setting(DAY, "how long an upload may be idle before it is canceled")
    blob_grace_seconds: float = _setting(3600.0, "how long an unreferenced blob is kept")
    sweep_interval_seconds: float = _setting(60.0, "how often expired data is deleted")
    job_seconds: float = _setting(DAY, "how long finished background jobs are listed; dead ones are kept")
    event_log: bool = _setting(
        False, "write a log line for each event: pushes, deletes, and changes of policies and identities"
    )
    outbox_seconds: float = _setting(7 * DAY, "how long events are kept; with event_log not before they are delivered")
    outbox_events: int = _setting(1_000_000, "events in the outbox at most; the oldest are dropped")
    audit_seconds: float = _setting(
        90 * DAY, "how long decisions, events and the history of tags and policies are kept"
    )
    unused_documents: int = _setting(
        50_000, "unused policy documents that are kept to explain decisions; the oldest are dropped"
    )
    audit_queue_bytes: int = _setting(
        64 * MIB, "memory for audit records that wait to be written, per worker: half for writes, half for the rest"
    )
    audit_rows_per_day: int = _setting(
        200_000,
        "rows (of 4 KiB) a day that a principal's reads, and its failed writes, may each add to the audit record",
    )

    repositories_per_registry: int = _setting(100_000, "repositories that an account may have in a region")
    images_per_repository: int = _setting(100_000, "images that a repository may have")
    trashed_repositories_per_registry: int = _setting(
        1_000, "deleted repositories that can be restored; if there are more, the first deleted are destroyed early"
    )
    trashed_images_per_repository: int = _setting(
        10_000, "deleted images that can be restored; if there are more, the first deleted are destroyed early"
    )
    tags_per_image: int = _setting(1_000, "tags that an image may have")
    uploads_per_repository: int = _setting(1_000, "open uploads that a repository may have")
    uploads_per_account: int = _setting(10_000, "open uploads that an account may have, in all regions together")
    upload_bytes_per_account: int = _setting(
        256 * 1024 * MIB, "bytes that the open uploads of an account may use on disk"
    )
    max_manifest_bytes: int = _setting(4 * MIB, "longest manifest that is accepted")
    max_layer_bytes: int = _setting(52_000 * MIB, "longest layer that is accepted")
    small_layer_bytes: int = _setting(64 * 1024, "layers up to this size are stored in the metadata, not as files")
    part_uploads_at_once: int = _setting(4, "UploadLayerPart bodies held in memory at once, per worker")

    @property
    def dev(self) -> bool:
        return self.mode == "dev"

    @property
    def creates_on_push(self) -> bool:
        return self.dev if self.create_on_push is None else self.create_on_push

    @property
    def style_of_uris(self) -> str:
        return self.uri_style or ("request" if self.dev else "path")

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def url(self) -> str:
        """How clients reach the server. For the addresses of this machine that is `localhost`, in every command and
        page, because docker stores logins by host name."""
        if self.public_url:
            return self.public_url.rstrip("/")
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{'localhost' if self.host in _THIS_MACHINE else name}:{self.port}"

    @property
    def address(self) -> str:
        """The IP address to listen on."""
        return "127.0.0.1" if self.host == "localhost" else self.host

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> "Settings":
        """Return the defaults, overridden by `MOORAGE_*` variables, overridden by what is `given` and not None.

        Texts are parsed in the same way, wherever they come from. Raises SettingError for a value that is not valid,
        and for a variable that belongs to no setting.
        """
        environment = os.environ if environment is None else environment
        types = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for variable, text in environment.items():
            if variable.startswith(_PREFIX) and not _is_of_kubernetes(variable, text):
                name = _setting_of(variable, types)
                if name is not None:
                    values[name] = _parse(variable, name, types[name], text)
        for name, value in given.items():
            if isinstance(value, str):
                value = _parse(f"--{name.replace('_', '-')}", name, types[name], value)
            if value is not None:
                values[name] = value
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingError("tls_cert and tls_key go together")
        if self.blob_store == "memory" and not (self.ephemeral and self.workers == 1):
            raise SettingError("blob_store: memory is lost with the process, so it needs --ephemeral and one worker")
        if not 0 <= self.port <= 65535:
            raise SettingError(f"port: {self.port} is not a port (0 to 65535)")
        if not 0 < self.download_url_seconds <= 900:
            raise SettingError("download_url_seconds must be between 1 and 900")
        if self.anonymous_pull and self.profile != "oci":
            raise SettingError("anonymous_pull needs the profile oci: Amazon ECR has no anonymous callers")
        for name in ("workers", "connections", "body_bytes_per_second"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} must be 1 or more")
        for name in ("header_seconds", "body_pause_seconds"):
            if not 1 <= getattr(self, name) <= DAY:
                raise SettingError(f"{name} must be between 1 and {DAY:.0f}")
        if not 0 <= self.shutdown_seconds <= DAY:
            raise SettingError(f"shutdown_seconds must be between 0 and {DAY:.0f}")
        if self.connections_per_address < 0:
            raise SettingError("connections_per_address must be 0 or more")
        try:
            if self.data.exists() and not self.data.is_dir():
                raise SettingError(f"data: {self.data} cannot be used: it is a file, not a directory")
        except OSError as error:
            raise SettingError(f"data: {self.data} cannot be read: {error.strerror}") from error


def _setting_of(variable: str, settings: Mapping[str, Any]) -> str | None:
    """Return the setting of an environment variable; None for a variable of Moorage that is not a setting. Raise
    SettingError."""
    name = variable.removeprefix(_PREFIX).lower()
    if variable in _OTHER_VARIABLES:
        return None
    if name in settings and variable == _PREFIX + name.upper():
        return name
    known = [_PREFIX + each.upper() for each in settings]
    near = difflib.get_close_matches(variable.upper(), [*known, *_OTHER_VARIABLES], 1)
    raise SettingError(f"{variable} is not a setting{f'. Did you mean {near[0]}?' if near else ''}")


def _is_of_kubernetes(variable: str, text: str) -> bool:
    """Return whether Kubernetes sets the variable in every pod, for a service called `moorage` or `moorage-…`."""
    return _OF_KUBERNETES.fullmatch(variable) is not None or (
        variable == "MOORAGE_PORT" and text.partition("://")[0] in {"tcp", "udp", "sctp"}
    )


def _parse(source: str, name: str, kind: Any, text: str) -> Any:
    """Return the value of the setting `name` of type `kind`, written as `text` in `source`. Raise SettingError."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is not Literal and type(None) in arguments:
        if text == "":
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        return _parse(source, name, inner[0], text)
    try:
        return _read(name, kind, arguments, text)
    except ValueError as error:
        raise SettingError(f"{source}: {error}") from error


def _read(name: str, kind: Any, arguments: tuple[Any, ...], text: str) -> Any:
    if typing.get_origin(kind) is Literal:
        if text not in arguments:
            raise ValueError(f"{text!r} is not one of {', '.join(map(str, arguments))}")
        return text
    if kind is bool:
        if text.lower() not in {"1", "0", "true", "false", "yes", "no"}:
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() in {"1", "true", "yes"}
    if name == "default_account":
        return account_id(text)
    if name == "default_region":
        return region(text)
    if name == "host":
        return _host(text)
    if name == "public_url":
        return _public_url(text)
    if name == "database_url" and urlsplit(text).scheme not in {"postgresql", "postgres"}:
        raise ValueError("it must begin with postgresql://")
    if kind is int or kind is float:
        return _number(kind, text)
    if name == "trusted_proxies":
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    if typing.get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return kind(text)


def _number(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a{' whole' if kind is int else ''} number") from None


def _host(text: str) -> str:
    """Return an address in its usual form, or `localhost`."""
    if text == "localhost":
        return text
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::1") from None


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(
            f"{text!r} is not a URL: it must begin with https:// or http://, such as https://{_name_of(text)}"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            f"{text!r} has a path. A registry needs a host name of its own: {parts.scheme}://{parts.netloc}"
        )
    return text


def _name_of(text: str) -> str:
    return text.rpartition("://")[2] or "registry.example.com"
