"""The server of this machine, as every command here understands it: its URL, CA, account and region.

What `moorage init` and the server were told is kept beside the data, so that no command has to be told it again.
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
    """Keep how the server that starts with `settings` is reached."""
    write_server(settings.data, LocalServer(settings.mode, settings.url, settings.port, _ca_of(settings.tls_cert)))


def served(settings: Settings, port: int | None) -> LocalServer:
    """How the server of `settings` is reached: as it was told when it started last, unless a URL or port is named.

    `port`: that of the command line, if there was one.
    """
    kept = read_server(settings.data)
    any_port = port is None and settings.port == DEFAULT_PORT
    if kept is not None and settings.public_url in {None, kept.url} and (any_port or settings.port == kept.port):
        return kept
    return LocalServer(settings.mode, settings.url, settings.port)


def ca_for(url: str, server: LocalServer) -> str | None:
    """The CA to trust for `url`: AWS_CA_BUNDLE, else that of this machine's server if `url` is its own."""
    named = os.environ.get("AWS_CA_BUNDLE")
    if named or server.ca is None or not same_server(urlsplit(url).netloc, urlsplit(server.url).netloc):
        return named or None
    return server.ca


def region(settings: Settings, found: Found) -> str:
    """The region to sign for: the environment's, the profile's, that of `moorage init`, else the default one."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or found.region
    if named:
        return named
    return home_region(settings)


def home_region(settings: Settings) -> str:
    """The region of `moorage init`, else the default one."""
    home = Home.read(settings.data)
    return settings.default_region if home is None else home.region


def _ca_of(certificate: Path | None) -> str | None:
    """What clients must trust: the certificate itself if it is self-signed, or the CA of `moorage ca` beside it.

    None when another CA signed it, which clients may know already.
    """
    if certificate is None:
        return None
    for file in (certificate, certificate.with_name(_CA_FILE)):
        with contextlib.suppress(OSError, ValueError, TypeError, InvalidSignature):
            authority = x509.load_pem_x509_certificate(file.read_bytes())
            x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(authority)
            return str(file.resolve())
    return None
