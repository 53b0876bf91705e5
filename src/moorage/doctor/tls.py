"""Checks of TLS: whether the certificate names the host, is valid today, and is trusted."""

import datetime
import ipaddress
import re
import shutil
import ssl
from collections.abc import Iterator

from cryptography import x509

from moorage.doctor.finding import Finding, fail, ok, skip, warn
from moorage.doctor.target import Target
from moorage.login.tools import DOCKER_CERTIFICATES

_SOON = datetime.timedelta(days=14)
_NAME = re.compile(r"[A-Za-z0-9.:*_-]+")


def scheme(target: Target) -> Iterator[Finding]:
    """Check that the server uses what is expected: TLS, or plain HTTP where that is safe."""
    if target.refusal is not None:
        yield skip("no connection")
        return
    shown = target.certificate
    if target.place.plain and isinstance(shown, bytes):
        yield fail(
            f"{target.host} uses TLS, but {target.place.endpoint} means plain HTTP",
            f"moorage doctor https://{target.host}",
        )
    elif target.place.plain:
        if target.is_local:
            yield ok("plain HTTP, which stays on this machine")
        else:
            line = f"moorage ca {target.name}   # on the server, then serve with --tls-cert and --tls-key"
            yield warn("plain HTTP: passwords travel over the network in the clear", line)
    elif isinstance(shown, bytes):
        yield ok("it uses TLS")
    elif isinstance(shown, ssl.SSLError):
        yield fail(
            f"{target.host} does not use TLS, which https needs. If plain HTTP is intended",
            f"moorage doctor http://{target.host}",
        )
    else:
        yield fail(
            f"{target.host} closed the connection during the TLS handshake ({shown})",
            f"moorage doctor http://{target.host}",
        )


def dates(target: Target) -> Iterator[Finding]:
    """Check that the certificate is valid today. Without TLS, this and the checks below find nothing."""
    certificate = _certificate(target)
    if certificate is None:
        return
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    again = f"moorage ca {' '.join(_names(certificate)) or target.name}   # on the server, then restart it"
    if now > ends:
        yield fail(f"the certificate expired on {ends:%Y-%m-%d %H:%M} UTC", again)
    elif now < begins:
        yield fail(f"the certificate is only valid from {begins:%Y-%m-%d %H:%M} UTC on, by this machine's clock", again)
    elif ends - now < _SOON:
        yield warn(f"the certificate expires on {ends:%Y-%m-%d %H:%M} UTC", again)
    else:
        yield ok(f"valid until {ends:%Y-%m-%d}")


def names(target: Target) -> Iterator[Finding]:
    """Check that the certificate is for this host."""
    certificate = _certificate(target)
    if certificate is None:
        return
    held = _names(certificate)
    if any(_covers(each, target.name) for each in held):
        yield ok(f"it is for {target.name}")
        return
    yield fail(
        f"the certificate is for {', '.join(held) or 'no name'}, not for {target.name}. On the server",
        f"moorage ca {' '.join([*held, target.name])}   # then restart it",
    )


def trust(target: Target) -> Iterator[Finding]:
    """Check that each client trusts the issuer of the certificate."""
    certificate = _certificate(target)
    if certificate is None:
        return
    now = datetime.datetime.now(datetime.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        yield skip("the certificate has expired")
        return
    problem = target.chain_problem(None)
    if problem is None:
        yield ok("trusted by the authorities of this system")
        return
    yield from _others_trust(target, certificate, target.trust, problem)


def _others_trust(target: Target, certificate: x509.Certificate, file: str | None, problem: str) -> Iterator[Finding]:
    ca = file or "ca.crt"
    if file is None:
        issuer = certificate.issuer.rfc4514_string() or "an issuer without a name"
        own = certificate.issuer == certificate.subject
        said = "it is self-signed" if own else f"nothing here trusts its issuer, {issuer}"
        yield fail(
            f"the certificate is not trusted ({problem}): {said}. Copy the server's CA here as ca.crt "
            "(moorage ca wrote it to moorage-tls/ca.crt), and run",
            f"moorage login --ca {ca} {target.host}",
            "export AWS_CA_BUNDLE=$PWD/ca.crt SSL_CERT_FILE=$PWD/ca.crt",
        )
        return
    if target.environment.get("AWS_CA_BUNDLE") == file:
        yield ok(f"the AWS CLI trusts it because of AWS_CA_BUNDLE={file}")
    else:
        yield warn("the AWS CLI does not trust it yet", f"export AWS_CA_BUNDLE={file}")
    docker_ca = DOCKER_CERTIFICATES / target.host / "ca.crt"
    if shutil.which("docker", path=target.environment.get("PATH")) is None:
        return
    if any(target.chain_problem(str(each)) is None for each in docker_ca.parent.glob("*.crt")):
        yield ok(f"docker trusts it because of {docker_ca.parent}")
    else:
        yield fail("docker does not trust it yet", f"sudo install -D -m 644 {ca} {docker_ca}")


def _certificate(target: Target) -> x509.Certificate | None:
    if target.place.plain or target.refusal is not None or not isinstance(target.certificate, bytes):
        return None
    return x509.load_der_x509_certificate(target.certificate)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(each) for each in found.get_values_for_type(x509.IPAddress)]
    # The author of the certificate chose these names, and here they become part of commands that a person may run.
    return [each for each in (*found.get_values_for_type(x509.DNSName), *addresses) if _NAME.fullmatch(each)]


def _covers(held: str, host: str) -> bool:
    """Return whether a name of a certificate matches `host`. A star matches one label (RFC 9525)."""
    try:
        return ipaddress.ip_address(held) == ipaddress.ip_address(host)
    except ValueError:
        pass
    held, host = held.lower(), host.lower()
    return held == host or (held.startswith("*.") and host.partition(".")[2] == held[2:] and host.count(".") > 1)
