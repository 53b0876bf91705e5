"""What may be opened to the network, and how a running server ends, is reached, and writes its log."""

import base64
import http.client
import json
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moorage.server import CannotServeError, check, listen
from moorage.settings import Settings
from tests.support.command_line import run_moorage
from tests.support.ecr_push import digest
from tests.support.oci_http import OciClient
from tests.support.server_process import MOORAGE, ServerProcess, run

CERTIFICATE: dict[str, Any] = {"tls_cert": Path("server.crt"), "tls_key": Path("server.key")}
PUBLIC = "https://registry.example.com"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"mode": "dev", "host": "0.0.0.0"}, "loopback only"),
        ({"mode": "dev", "host": "::"}, "loopback only"),
        ({"mode": "dev", "host": "192.0.2.1", "insecure": True, "public_url": PUBLIC}, "loopback only"),
        ({"host": "0.0.0.0"}, "--tls-cert"),
        ({"host": "192.0.2.1", "public_url": PUBLIC}, "--insecure"),
        ({"host": "registry.example.com", "public_url": PUBLIC}, "--insecure"),
        ({"host": "0.0.0.0", "insecure": True}, "--public-url"),
        ({"host": "::", **CERTIFICATE}, "--public-url"),
    ],
)
def test_what_may_not_be_opened(given: dict[str, Any], advice: str) -> None:
    with pytest.raises(CannotServeError, match=advice):
        check(Settings(**given))


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "dev"},
        {"host": "localhost"},
        {"host": "127.0.0.7"},
        {"host": "::1"},
        {"host": "0.0.0.0", "public_url": PUBLIC, "insecure": True},
        {"host": "0.0.0.0", "public_url": PUBLIC, **CERTIFICATE},
    ],
)
def test_what_may_be_opened(given: dict[str, Any]) -> None:
    check(Settings(**given))


def test_an_address_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotServeError, match=f"cannot listen on 127.0.0.1:{port}"):
            listen("127.0.0.1", port)
        refused = run([MOORAGE, "dev", "--port", str(port), "--data", str(tmp_path / "data")], check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


@contextmanager
def serving(tmp_path: Path, *options: str, command: str = "dev", **environment: str) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "data", *options, command=command).start(environment=environment)
    try:
        yield server
    finally:
        assert server.stop() == 0


def test_a_line_a_request_and_no_secret_in_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--access-log", "--log-format", "json") as server:
        ecr = server.client("ecr")
        token = base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()
        password = token.partition(":")[2]
        oci = OciClient(server, "AWS", password)
        oci.push("logged/app", "v1", b"content of a layer")
        layer = digest(b"content of a layer")
        url = ecr.get_download_url_for_layer(repositoryName="logged/app", layerDigest=layer)["downloadUrl"]
        secret_of_url = url.partition("token=")[2]
        assert OciClient(server, "AWS", "wrong-password")(
            "GET", f"/v2/logged/app/blobs/{layer}?{url.partition('?')[2]}"
        )
        iam = server.client("iam")
        iam.create_user(UserName="logged")
        key = iam.create_access_key(UserName="logged")["AccessKey"]
        with pytest.raises(Exception, match="not authorized"):
            server.client("ecr", key["AccessKeyId"], key["SecretAccessKey"]).describe_registry()
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    pulled = [line for line in requests if line["path"] == f"/v2/logged/app/blobs/{layer}"]
    assert [(line["method"], line["status"]) for line in pulled] == [("GET", 200)]
    assert pulled[0]["sent"] == len(b"content of a layer")
    assert pulled[0]["client"] == "127.0.0.1"
    root = "arn:aws:iam::000000000000:root"
    assert (pulled[0]["principal"], pulled[0]["operation"]) == (root, "ecr:GetDownloadUrlForLayer")
    made = next(line for line in requests if line.get("operation") == "iam:CreateUser")
    assert (made["principal"], made["status"]) == (root, 200)
    assert len(made["request_id"]) == 36
    refused = next(line for line in requests if line.get("operation") == "ecr:DescribeRegistry")
    assert refused["principal"] == "arn:aws:iam::000000000000:user/logged"
    assert [line["status"] for line in requests if line["path"] == "/v2/logged/app/manifests/v1"] == [201]
    assert [line["action"] for line in lines if line["event"] == "denied"] == ["ecr:DescribeRegistry"]
    for secret in (password, secret_of_url, key["SecretAccessKey"], "wrong-password"):
        assert secret not in text


def test_without_the_flag_there_is_no_line_a_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as server:
        assert OciClient(server)("GET", "/v2/").status == 200
    assert '"event":"request"' not in server.log.read_text().replace(" ", "")


def test_sigterm_lets_an_upload_finish(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    with serving(tmp_path) as server:
        oci = OciClient(server)
        location = oci("POST", "/v2/ending/blobs/uploads/").headers["location"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("PUT", f"{location}?digest={digest(content)}")
        connection.putheader("Authorization", "Basic " + base64.b64encode(b"test:any").decode())
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content[: 1 << 20])
        while OciClient(server)("GET", location).headers["range"] == "0-0" and not arrived(server):
            pass
        server.terminate()
        connection.send(content[1 << 20 :])
        assert connection.getresponse().status == 201
        connection.close()
        assert server.wait() == 0
        server.start()
        assert oci("GET", f"/v2/ending/blobs/{digest(content)}").body == content


def arrived(server: ServerProcess) -> bool:
    """Some bytes of an upload are in the data directory."""
    return any(file.stat().st_size for file in (server.data / "blobs").rglob("*") if file.is_file())


def test_sigterm_lets_a_download_finish(tmp_path: Path) -> None:
    content = os.urandom(24 << 20)
    with serving(tmp_path) as server:
        OciClient(server).push("ending", "v1", content)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        credential = "Basic " + base64.b64encode(b"test:any").decode()
        connection.request("GET", f"/v2/ending/blobs/{digest(content)}", headers={"Authorization": credential})
        answer = connection.getresponse()
        first = answer.read(100_000)
        server.terminate()
        assert first + answer.read() == content
        connection.close()
        assert server.wait() == 0


@pytest.mark.parametrize(("trusted", "scheme", "host"), [("127.0.0.0/8", "https", "localhost:8443"), ("", "http", "")])
def test_forwarded_headers_count_from_trusted_proxies_alone(
    tmp_path: Path, trusted: str, scheme: str, host: str
) -> None:
    with serving(tmp_path, MOORAGE_TRUSTED_PROXIES=trusted) as server:
        forwarded = {"x_forwarded_proto": "https", "x_forwarded_host": "localhost:8443", "x_forwarded_for": "192.0.2.7"}
        challenged = OciClient(server, "AWS", "wrong")("GET", "/v2/", None, **forwarded)
        realm = f'realm="{scheme}://{host or server.registry}/"'
        assert realm in challenged.headers["www-authenticate"]
        figures = OciClient(server)("GET", "/metrics", None, **forwarded)
        assert figures.status == (403 if trusted else 200)  # to the proxy's client it is not on loopback


def test_serve_makes_no_repository_on_push(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_moorage("init", "--data", str(data))
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "sealing.key").stat().st_mode) == 0o600
    said = run_moorage("env", "--data", str(data)).stdout
    values = dict(line.removeprefix("export ").split("=", 1) for line in said.splitlines() if line.startswith("export"))
    with serving(tmp_path, command="serve") as server:
        ecr = server.client("ecr", values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"].strip("'"))
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        oci = OciClient(server, "AWS", base64.b64decode(token).decode().partition(":")[2])
        refused = oci("POST", "/v2/not/there/blobs/uploads/")
        assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
        assert ecr.describe_repositories()["repositories"] == []
        ecr.create_repository(repositoryName="not/there")
        oci.push("not/there", "v1", b"content")
        for user in ("test", "000000000000"):
            assert OciClient(server, user, "any")("GET", "/v2/").status == 401
        assert OciClient(server)("POST", "/_moorage/reset").status == 404
        assert OciClient(server)("POST", "/moto-api/reset").status == 404
        assert OciClient(server)("POST", "/_moorage/clock", b"{}").status == 404


def test_dev_makes_a_repository_on_push_and_forgets_nothing_unless_told(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        pushed = OciClient(server).push("made/by/push", "v1", b"content")
        names = [each["repositoryName"] for each in server.client("ecr").describe_repositories()["repositories"]]
        assert names == ["made/by/push"]
    with serving(tmp_path) as server:
        assert OciClient(server).pull("made/by/push", "v1") == pushed


def test_ephemeral_leaves_nothing(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path), "MOORAGE_DATA": str(tmp_path / "none")}
    server = ServerProcess(tmp_path / "data", "--ephemeral").start(environment=environment)
    OciClient(server).push("gone", "v1", b"content")
    assert list(tmp_path.glob("moorage-*"))
    assert server.stop() == 0
    assert not list(tmp_path.glob("moorage-*"))
    assert not server.data.exists()


def test_tls_carries_both_doors(tmp_path: Path) -> None:
    made = run_moorage("ca", "--out", str(tmp_path / "tls"), "localhost", "127.0.0.1").stdout
    assert "AWS_CA_BUNDLE" in made
    assert {stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) for name in ("ca.key", "server.key")} == {0o600}
    authority = (tmp_path / "tls" / "ca.crt").read_bytes()
    run_moorage("ca", "--out", str(tmp_path / "tls"), "localhost", "127.0.0.1")
    assert (tmp_path / "tls" / "ca.crt").read_bytes() == authority  # whoever trusts it need not do so again
    options = ["--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key")]
    with serving(tmp_path, *options) as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
        for context, reached in ((trust, True), (ssl.create_default_context(), False)):
            connection = http.client.HTTPSConnection("localhost", server.port, timeout=20, context=context)
            if not reached:
                with pytest.raises(ssl.SSLCertVerificationError):
                    connection.request("GET", "/v2/")
                continue
            connection.request("GET", "/v2/")
            answer = connection.getresponse()
            assert answer.status == 401
            assert f'realm="https://localhost:{server.port}/"' in answer.headers["www-authenticate"]
            connection.close()
        ecr = server.client("ecr", verify=str(tmp_path / "tls" / "ca.crt"))
        made_here = ecr.create_repository(repositoryName="sealed")["repository"]
        assert made_here["repositoryUri"] == f"127.0.0.1:{server.port}/sealed"
        endpoint = ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
        assert endpoint == server.url
        environment = os.environ | {"AWS_ENDPOINT_URL": server.url, "AWS_CA_BUNDLE": str(tmp_path / "tls" / "ca.crt")}
        said = run_moorage("restore", "never/there", env=environment, check=False)
        assert "No deleted repository" in said.stderr
