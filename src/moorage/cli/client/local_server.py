"""The server of this machine as all commands see it: its URL, CA, account and region.

The options of `moorage init` and of the server are stored beside the data, so that no command needs them again.
"""

import contextlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from moorage.cli.server.initialized import Home
from moorage.login.hosts import same_server
from moorage.login.keys import Found
from moorage.login.local import LocalServer, read_server, write_server
from moorage.settings import DEFAULT_PORT, Settings

_CA_FILE = "ca.crt"


def remember(settings: Settings) -> None:
    """Store how to reach the server that starts with `settings`."""
    write_server(settings.data, LocalServer(settings.mode, settings.url, settings.port, _ca_of(settings.tls_cert)))


def served(settings: Settings, port: int | None) -> LocalServer:
    """Return how to reach the server of `settings`: as stored when it last started, unless a URL or port is given.

    `port`: that of the command line, if any.
    """
    kept = read_server(settings.data)
    any_port = port is None and settings.port == DEFAULT_PORT
    if kept is not None and settings.public_url in {None, kept.url} and (any_port or settings.port == kept.port):
        return kept
    return LocalServer(settings.mode, settings.url, settings.port)


def ca_for(url: str, server: LocalServer) -> str | None:
    """Return the CA to trust for `url`: AWS_CA_BUNDLE, or else that of this machine's server if `url` is its own."""
    named = os.environ.get("AWS_CA_BUNDLE")
    if named or server.ca is None or not same_server(urlsplit(url).netloc, urlsplit(server.url).netloc):
        return named or None
    return server.ca


def region(settings: Settings, found: Found) -> str:
    """Return the region to sign for: that of the environment, the profile, or `moorage init`, or else the default."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or found.region
    if named:
        return named
    return home_region(settings)


def home_region(settings: Settings) -> str:
    """Return the region of `moorage init`, or else the default."""
    home = Home.read(settings.data)
    return settings.default_region if home is None else home.region


def _ca_of(certificate: Path | None) -> str | None:
    """Return what clients must trust: the certificate itself if it is self-signed, or the CA of `moorage ca` beside it.

    Returns None if another CA signed it, which clients may know already.
    """
    if certificate is None:
        return None
    for file in (certificate, certificate.with_name(_CA_FILE)):
        with contextlib.suppress(OSError, ValueError, TypeError, InvalidSignature):
            authority = x509.load_pem_x509_certificate(file.read_bytes())
            x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(authority)
            return str(file.resolve())
    return None
