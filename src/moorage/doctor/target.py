"""The target of the checks: one registry host as seen from this machine. Each observation is made once, when first
needed."""

import base64
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moorage.login.docker_config import DockerConfig, config_file
from moorage.login.endpoint import Answer, Endpoint
from moorage.login.errors import DockerConfigError, EndpointError, KeyNotFoundError
from moorage.login.hosts import is_loopback, without_port
from moorage.login.keys import Found, find_key
from moorage.login.passwords import Credential
from moorage.login.roles import assume
from moorage.login.server import Place, port_of

LOCAL_CA = Path("moorage-tls/ca.crt")
TIMEOUT = 5.0
"""Seconds that a single observation may take."""


@dataclass
class Target:
    """A registry host, the environment of the person who runs the checks, and the options they gave."""

    place: Place
    environment: Mapping[str, str]
    data: Path
    region: str
    ca: str | None = None
    profile: str | None = None
    account: str | None = None
    repository: str | None = None
    asked_at: float = 0.0
    """When the server's time was requested, in seconds since the epoch."""

    @property
    def host(self) -> str:
        """Host and port as in image references."""
        return self.place.hosts[0]

    @property
    def name(self) -> str:
        """The host without its port."""
        return without_port(self.host)

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(self.host)

    @property
    def registry_url(self) -> str:
        """The URL of /v2/. The API may be elsewhere: an ECR host name can belong to any endpoint."""
        return f"{'http' if self.place.plain else 'https'}://{self.host}"

    @cached_property
    def port(self) -> int:
        """The port: as named, or that of the scheme."""
        return port_of(self.host, plain=self.place.plain)

    @cached_property
    def addresses(self) -> list[str]:
        """The addresses of the name; empty if it does not resolve."""
        try:
            found = socket.getaddrinfo(self.name, self.port, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    @cached_property
    def refusal(self) -> OSError | None:
        """Why no address accepts a connection; None if one does."""
        problem: OSError | None = OSError("no address")
        for address in self.addresses:
            try:
                with socket.create_connection((address, self.port), TIMEOUT):
                    return None
            except OSError as error:
                problem = error
        return problem

    @cached_property
    def certificate(self) -> bytes | ssl.SSLError | OSError:
        """The server's certificate in DER, trusted or not; an SSLError if the server does not use TLS."""
        context = ssl._create_unverified_context()  # noqa: S323 - it is looked at here, and nothing is sent
        try:
            with (
                socket.create_connection((self.name, self.port), TIMEOUT) as plain,
                context.wrap_socket(plain, server_hostname=self.name) as secure,
            ):
                return secure.getpeercert(binary_form=True) or b""
        except OSError as error:
            return error

    def chain_problem(self, cafile: str | None) -> str | None:
        """Return why the certificate chain is not trusted by `cafile` (None: the system's); None if it is trusted.

        Names are not compared here.
        """
        try:
            context = ssl.create_default_context(cafile=cafile)
            context.check_hostname = False
            with (
                socket.create_connection((self.name, self.port), TIMEOUT) as plain,
                context.wrap_socket(plain, server_hostname=self.name),
            ):
                return None
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except OSError as error:
            return str(error)

    @cached_property
    def trust(self) -> str | None:
        """The CA file that trusts the server's certificate, among the given ones and that of `moorage ca`; None: the
        system's."""
        here = str(LOCAL_CA.resolve()) if LOCAL_CA.exists() else None
        for file in filter(None, (self.ca, self.environment.get("AWS_CA_BUNDLE"), here)):
            if self.chain_problem(file) is None:
                return file
        return None

    def ask(self, method: str, path: str, credential: Credential | None = None, body: bytes | None = None) -> Answer:
        """Send one request to the registry. Raise EndpointError."""
        headers = {}
        if credential is not None:
            basic = base64.b64encode(f"{credential.user}:{credential.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {basic}"
        if body is not None:
            headers["Content-Type"] = "application/vnd.oci.image.manifest.v1+json"
        trust = None if self.place.plain else self.trust
        return Endpoint(self.registry_url, self.region, trust, TIMEOUT).send(method, path, headers, body)

    @cached_property
    def ping(self) -> Answer | EndpointError:
        """The response of /v2/ to a request without credentials."""
        if not self.addresses or self.refusal is not None:
            return EndpointError("no connection", "unreachable")
        self.asked_at = time.time()
        try:
            return self.ask("GET", "/v2/")
        except EndpointError as error:
            return error

    @cached_property
    def is_moorage(self) -> bool:
        """Whether the server is Moorage."""
        try:
            return bool(self.document("/_moorage/ready").get("status") == "ready")
        except EndpointError:
            return False

    def document(self, path: str, credential: Credential | None = None) -> dict[str, Any]:
        """Return a JSON object from the server, with the HTTP status as `status code`. Raise EndpointError."""
        answer = self.ask("GET", path, credential)
        try:
            decoded = json.loads(answer.body)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise EndpointError(f"{self.registry_url}{path} answered {answer.status} and no JSON", "answer")
        return decoded | {"status code": answer.status}

    @cached_property
    def endpoint(self) -> Endpoint:
        """The endpoint of the AWS API."""
        trust = None if self.place.plain else self.trust
        return Endpoint(self.place.endpoint, self.region, trust, TIMEOUT)

    @cached_property
    def key(self) -> Found | KeyNotFoundError:
        """The access key that would be used."""
        try:
            found = find_key(self.environment, self.data, profile=self.profile, account=self.account)
            return assume(found, self.endpoint)
        except KeyNotFoundError as error:
            return error
        except EndpointError as error:
            return KeyNotFoundError(f"{found.source} cannot assume {found.roles[-1].arn}: {error}")

    @cached_property
    def docker(self) -> DockerConfig | DockerConfigError:
        """Docker's configuration, or what is wrong with it."""
        try:
            return DockerConfig(config_file(self.environment))
        except DockerConfigError as error:
            return error

    @property
    def silence(self) -> str | None:
        """Why nothing more can be asked of the server; None if it responds."""
        if isinstance(self.ping, Answer):
            return None
        return "its certificate is not trusted, so nothing is sent" if self.ping.code == "tls" else "no connection"
