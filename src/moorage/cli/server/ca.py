"""`moorage ca`: a local certificate authority and a server certificate, for TLS without an outside authority.

The authority is limited to the names it was created for (name constraints, RFC 5280, section 4.2.1.10): clients that
trust it accept no other names from it, so its key is worth no more to a thief than the server's own.
"""

import datetime
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rich.console import Console

from moorage.login.files import write_private

_CA_LIFE = datetime.timedelta(days=3650)
_SERVER_LIFE = datetime.timedelta(days=397)  # the longest that common clients accept
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_ANY_ADDRESS = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def ca(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Host names and addresses of the certificate.", show_default="localhost 127.0.0.1 ::1"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("moorage-tls"),
) -> None:
    """Create a local CA (once) and a server certificate for NAMES, and print how clients can trust it.

    The CA can sign for the names it was created with and their subdomains. Clients refuse anything else from it.
    """
    hosts = [_host(name) for name in names or ["localhost", "127.0.0.1", "::1"]]
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, authority_key = _authority(out, hosts)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        # Not a host name: clients that still look for one here would check it against the constraints.
        .subject_name(_name("Moorage server"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(min(now + _SERVER_LIFE, authority.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_private(out / "server.key", _pem_of(key))
    (out / "server.crt").write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"""Certificate for {", ".join(hosts)}: {out / "server.crt"} and {out / "server.key"}

  moorage serve --tls-cert {out / "server.crt"} --tls-key {out / "server.key"} …

[dim]Clients must trust {out / "ca.crt"}:[/]
  docker      copy it to /etc/docker/certs.d/{hosts[0].removeprefix("*.")}:4580/ca.crt
  AWS CLI     export AWS_CA_BUNDLE={out / "ca.crt"}
  crane, oras export SSL_CERT_FILE={out / "ca.crt"}""")


def _authority(out: Path, hosts: list[str]) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the CA in `out`; make one for `hosts` if there is none. Raise BadParameter if it cannot sign for them."""
    certificate_file, key_file = out / "ca.crt", out / "ca.key"
    if not certificate_file.exists() and not key_file.exists():
        return _make_authority(certificate_file, key_file, hosts)
    for file, other in ((certificate_file, key_file), (key_file, certificate_file)):
        if not file.exists():
            raise typer.BadParameter(
                f"{other} exists, but {file} is missing. Restore it, or create a new CA elsewhere with --out"
            )
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(f"the CA in {out} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise typer.BadParameter(f"{key_file} was not created by moorage ca, or is not the key of {certificate_file}")
    _check_permits(certificate, hosts, out)
    return certificate, key


def _make_authority(
    certificate_file: Path, key_file: Path, hosts: list[str]
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Moorage local CA")
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_constraints(hosts), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # Write the key first, and never over another one: a CA that clients trust cannot be created again.
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(_pem_of(key))
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _constraints(hosts: list[str]) -> x509.NameConstraints:
    """Permit the hosts, and exclude every kind of name that none of them has: without that, such names would be
    unlimited."""
    permitted: list[x509.GeneralName] = []
    for host in dict.fromkeys(host.removeprefix("*.") for host in hosts):
        address = _address(host)
        permitted.append(x509.DNSName(host) if address is None else x509.IPAddress(ipaddress.ip_network(address)))
    networks = [each.value for each in permitted if isinstance(each, x509.IPAddress)]
    excluded: list[x509.GeneralName] = [
        x509.IPAddress(every) for every in _ANY_ADDRESS if all(every.version != each.version for each in networks)
    ]
    if len(networks) == len(permitted):
        excluded.append(x509.DNSName(""))  # every name
    return x509.NameConstraints(permitted, excluded or None)


def _check_permits(authority: x509.Certificate, hosts: list[str], out: Path) -> None:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[yellow]The CA in {out} may sign for any name on the Internet:[/] an older version created it. "
            "Anyone who gets its key can impersonate every server to clients that trust it. "
            "Create a new one with --out, and replace "
            f"{out / 'ca.crt'} where it is trusted."
        )
        return
    permitted = [
        str(each.value).removesuffix("/32").removesuffix("/128") for each in constraints.permitted_subtrees or ()
    ]
    for host in hosts:
        name = host.removeprefix("*.")
        if not any(name == each or (_address(name) is None and name.endswith(f".{each}")) for each in permitted):
            raise typer.BadParameter(
                f"the CA in {out} may sign for {', '.join(permitted)} only, not for {host}. Create a new CA for all "
                f"names, and make clients trust that one: moorage ca --out NEW-DIRECTORY {' '.join([*permitted, host])}"
            )


def _host(text: str) -> str:
    """Return a host name in lower case, or an address in its usual form. Raise BadParameter."""
    name = text.lower()
    address = _address(name)
    if address is not None:
        return str(address)
    # Digits at the end: an invalid address (`127.0.0.256`), which some clients read as a valid one.
    if _HOST.fullmatch(name) is None or name.rpartition(".")[2].isdigit():
        raise typer.BadParameter(f"{text!r} is not a host name or address (no scheme, no port)", param_hint="NAMES")
    return name


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if "%" in host else address


def _alternative(host: str) -> x509.GeneralName:
    address = _address(host)
    return x509.DNSName(host) if address is None else x509.IPAddress(address)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the key as PKCS#8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
