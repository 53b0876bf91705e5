"""`moorage ca`: what it makes is good for its names with every client's verifier, and its CA for nothing else."""

import datetime
import ipaddress
import os
import shutil
import ssl
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from moorage.cli import app
from tests.clients.conftest import need
from tests.clients.images import write_layout
from tests.support.server_process import ServerProcess, run


def made(out: Path, *names: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, ["ca", "--out", str(out), *names], env={"COLUMNS": "400"})
    assert (done.exit_code != 0) is fails, done.output
    return " ".join(done.output.split())


def forged(out: Path, *alternatives: x509.GeneralName, common_name: str = "x", is_ca: bool = False) -> Path:
    """A certificate that the stolen key of the CA in `out` signed, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority_key = serialization.load_pem_private_key((out / "ca.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate((out / "ca.crt").read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    file = out / f"forged-{certificate.serial_number}.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file


def openssl(out: Path, certificate: Path) -> str:
    need("openssl")
    done = run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            str(out / "ca.crt"),
            str(certificate),
        ],
        check=False,
    )
    return done.stdout + done.stderr


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def ip(text: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(text))


EVERYTHING = ("evil.example", "github.com", "notregistry.example.com", "example.com", "10.1.2.3", "2001:db8::9")


@pytest.mark.parametrize(
    ("names", "good"),
    [
        ((), ("localhost", "a.localhost", "127.0.0.1", "::1")),
        (("registry.example.com",), ("registry.example.com", "111122223333.dkr.ecr.us-east-1.registry.example.com")),
        (("10.0.0.1",), ("10.0.0.1",)),
        (("2001:db8::1",), ("2001:db8::1",)),
        (("localhost", "127.0.0.1", "registry.example.com"), ("localhost", "127.0.0.1", "registry.example.com")),
        (("*.r.example.com", "r.example.com"), ("r.example.com", "x.r.example.com")),
    ],
    ids=str,
)
def test_a_stolen_ca_key_signs_for_its_own_names_only(
    tmp_path: Path, names: tuple[str, ...], good: tuple[str, ...]
) -> None:
    made(tmp_path, *names)
    assert ": OK" in openssl(tmp_path, tmp_path / "server.crt")
    for name in good:
        assert ": OK" in openssl(tmp_path, forged(tmp_path, alternative(name))), name
    for name in (*EVERYTHING, *(("127.0.0.1",) if "127.0.0.1" not in good else ()), "127.0.0.2", "::2"):
        said = openssl(tmp_path, forged(tmp_path, alternative(name)))
        assert "subtree violation" in said, name
    # Beside a good name, and in the subject alone.
    said = openssl(tmp_path, forged(tmp_path, alternative(good[0]), dns("evil.example")))
    assert "subtree violation" in said
    assert "subtree violation" in openssl(tmp_path, forged(tmp_path, common_name="evil.example"))


def alternative(name: str) -> x509.GeneralName:
    return ip(name) if ":" in name or name.rpartition(".")[2].isdigit() else dns(name)


def test_the_ca_makes_no_other_ca(tmp_path: Path) -> None:
    made(tmp_path, "registry.example.com")
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert authority.extensions.get_extension_for_class(x509.NameConstraints).critical
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_keys_are_private_from_the_start_and_a_ca_is_never_replaced(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made(tmp_path / "tls", "r.example.com")
        ca_key, ca_crt = (tmp_path / "tls" / "ca.key").read_bytes(), (tmp_path / "tls" / "ca.crt").read_bytes()
        server_key = (tmp_path / "tls" / "server.key").read_bytes()
        (tmp_path / "tls" / "server.key").chmod(0o644)
        made(tmp_path / "tls", "r.example.com", "a.r.example.com")
    finally:
        os.umask(before)
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert (tmp_path / "tls" / "ca.key").read_bytes() == ca_key
    assert (tmp_path / "tls" / "ca.crt").read_bytes() == ca_crt
    assert (tmp_path / "tls" / "server.key").read_bytes() != server_key
    (tmp_path / "tls" / "ca.crt").unlink()
    assert "ca.crt is missing" in made(tmp_path / "tls", "r.example.com", fails=True)
    assert (tmp_path / "tls" / "ca.key").read_bytes() == ca_key
    (tmp_path / "tls" / "ca.crt").write_bytes(ca_crt)
    (tmp_path / "tls" / "ca.key").write_bytes(server_key)
    assert "is not the key of" in made(tmp_path / "tls", "r.example.com", fails=True)


def test_a_name_that_the_ca_may_not_sign_for(tmp_path: Path) -> None:
    made(tmp_path, "r.example.com", "10.0.0.1")
    certificate = (tmp_path / "server.crt").read_bytes()
    for name in ("other.example.com", "example.com", "evilr.example.com", "10.0.0.2", "x.10.0.0.1.nip.example", "::1"):
        said = made(tmp_path, name, fails=True)
        assert f"may sign for r.example.com, 10.0.0.1 only, not for {name}" in said
        assert f"moorage ca --out NEW-DIRECTORY r.example.com 10.0.0.1 {name}" in said
    assert (tmp_path / "server.crt").read_bytes() == certificate
    made(tmp_path, "*.r.example.com")
    assert ": OK" in openssl(tmp_path, tmp_path / "server.crt")


@pytest.mark.parametrize(
    "name",
    [
        *["https://r.example.com", "r.example.com:4580", "a b", "", ".", "a..b", "-a", "*", "a.*.b", "**.a"],
        *["bücher.example", "r.example.com.", "a" * 64, "a." * 127 + "abc", "fe80::1%eth0", "10.0.0.0/8", "$(id)"],
        "127.0.0.256",
    ],
)
def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    assert "is not a host name or address" in made(tmp_path / "tls", "--", name, fails=True)
    assert not (tmp_path / "tls").exists()


def test_a_ca_of_an_older_version_still_signs_and_is_told_of(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Moorage local CA")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "ca.key").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    assert "may sign for any name" in made(tmp_path, "r.example.com")
    server = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    assert server.not_valid_after_utc == certificate.not_valid_after_utc


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ca") / "tls"
    made(out, "localhost", "127.0.0.1", "registry.example.com")
    return out


@pytest.fixture(scope="module")
def serving(tls: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(
        tls.parent / "data", "--tls-cert", str(tls / "server.crt"), "--tls-key", str(tls / "server.key")
    ).start()
    yield running
    running.stop()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_python_and_curl_accept_it(tls: Path, serving: ServerProcess, host: str) -> None:
    url = f"https://{host}:{serving.port}/_moorage/health"
    context = ssl.create_default_context(cafile=str(tls / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(url, context=context) as answer:
        assert answer.status == 200
    need("curl")
    run(["curl", "-sSf", "--cacert", str(tls / "ca.crt"), url])
    port = serving.port
    resolved = ["--resolve", f"registry.example.com:{port}:127.0.0.1"]
    run(
        [
            "curl",
            "-sSf",
            "--cacert",
            str(tls / "ca.crt"),
            *resolved,
            f"https://registry.example.com:{port}/_moorage/health",
        ]
    )


@pytest.mark.parametrize("program", ["skopeo", "podman", "crane", "oras"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_clients_in_go_push_over_it(tls: Path, serving: ServerProcess, tmp_path: Path, program: str, host: str) -> None:
    need(program)
    layout = tmp_path / "image"
    write_layout(layout, files={"greeting": b"hello\n"})
    trust = tmp_path / "certs"
    trust.mkdir()
    shutil.copy(tls / "ca.crt", trust / "ca.crt")
    registry = f"{host}:{serving.port}"
    image = f"{registry}/ca/{program}:v1"
    login = ["--username", "test", "--password", "any"]
    environment = os.environ | {
        "SSL_CERT_FILE": str(tls / "ca.crt"),
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
    }
    commands = {
        "skopeo": [["skopeo", "copy", "--dest-cert-dir", str(trust), "--dest-creds", "test:any", f"oci:{layout}:v1"]],
        "podman": [["podman", "login", "--cert-dir", str(trust), *login, registry]],
        "crane": [["crane", "auth", "login", *login, registry], ["crane", "push", str(layout), image]],
        "oras": [["oras", "login", "--plain-http=false", *login, registry]],
    }[program]
    if program == "skopeo":
        commands[0].append(f"docker://{image}")
    for command in commands:
        run(command, env=environment)
