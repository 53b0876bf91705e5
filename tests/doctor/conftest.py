"""Patients of every kind: behind fake servers, behind TLS with any certificate, in an environment of their own."""

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moorage.doctor.checks import CHECKS
from moorage.doctor.finding import Finding
from moorage.doctor.target import Target
from moorage.login.server import Place
from tests.login.conftest import FakeServer, fake, home

__all__ = ["fake", "home"]

Make = Callable[..., Target]


@pytest.fixture
def target(home: dict[str, str], tmp_path: Path) -> Make:
    """Creates a target: `target(url, …)`, with the empty environment and what is given over it."""

    def make(url: str, *, host: str | None = None, environment: dict[str, str] | None = None, **more: Any) -> Target:
        where = host or url.partition("://")[2]
        place = Place((where,), url)
        more.setdefault("data", tmp_path / "no-data")
        return Target(place=place, environment=home | (environment or {}), region="us-east-1", **more)

    return make


def look(check: str, target: Target) -> list[Finding]:
    """What one check finds."""
    return list(CHECKS[check](target))


def only(check: str, target: Target) -> Finding:
    """The one thing that a check finds."""
    (finding,) = look(check, target)
    return finding


def of(fake: FakeServer, target: Make, **more: Any) -> Target:
    """A target behind the fake server."""
    return target(fake.url, **more)


class Authority:
    """A certificate authority that signs whatever it is asked to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tests of the doctor")])
        certificate = self._build(self._name, self._key, -1, 3650).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = directory / "authority.crt"
        signed = certificate.sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _build(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, begins: float, ends: float) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends))
        )

    def sign(self, *names: str, begins: float = -1, ends: float = 90) -> Path:
        """Certificate and key in one PEM file; `begins` and `ends` in days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        alternatives = [_alternative(each) for each in names]
        certificate = (
            self._build(name, key, begins, ends)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        file = self._directory / "server.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls() -> Iterator[Callable[[Path], str]]:
    """Starts a server that shows a certificate: `tls(file)` is its URL."""
    servers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us hangs up: what these tests are about."""

    def start(file: Path) -> str:
        server = Quiet(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"https://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
