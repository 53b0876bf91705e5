"""Start a server with TLS, send it one signed request, and end it, 400 times: none hangs, and each ends when told."""

import http.client
import os
import random
import ssl
import time
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.bounds.memory import say
from tests.support.admin_calls import Keys, user
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess

STARTS = int(os.environ.get("TORTURE_STARTS", "400"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificate")
    run_moorage("ca", "--out", str(directory), "localhost", "127.0.0.1")
    return directory


def signed_request(server: ServerProcess, keys: Keys, authority: Path) -> int:
    """The status of a signed DescribeRegistry. Its signature is verified: the server computes HMACs with OpenSSL."""
    request = AWSRequest("POST", server.url + "/", data=b"{}")
    request.headers["X-Amz-Target"] = "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry"
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    SigV4Auth(Credentials(keys.id, keys.secret), "ecr", "us-east-1").add_auth(request)
    trust = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=trust)
    try:
        connection.request("POST", "/", request.body, dict(request.headers))
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.torture
def test_every_start_with_tls_answers_and_ends(tmp_path: Path, certificate: Path) -> None:
    options = ["--tls-cert", str(certificate / "server.crt"), "--tls-key", str(certificate / "server.key")]
    authority = certificate / "ca.crt"
    plain = ServerProcess(tmp_path / "data").start()
    allowed = {"Effect": "Allow", "Action": "ecr:DescribeRegistry", "Resource": "*"}
    keys = user(plain, "test", "signer", allowed)
    assert plain.stop() == 0
    chance = random.Random(13)
    begun = time.monotonic()
    slowest = 0.0
    for number in range(STARTS):
        workers = 1 + number % 4
        server = ServerProcess(tmp_path / "data", *options, "--workers", str(workers)).start(wait=False)
        try:
            server.wait_until_ready()
            assert signed_request(server, keys, authority) == 200
            time.sleep(chance.random() * 0.3)  # its other workers are at any point of their start
            asked = time.monotonic()
            assert server.stop() == 0, server.log.read_text()
            slowest = max(slowest, time.monotonic() - asked)
        finally:
            server.kill()
    say(f"{STARTS} starts in {time.monotonic() - begun:.0f} s, the slowest end took {slowest:.1f} s")


@pytest.mark.torture
def test_a_server_ends_whenever_it_is_told(tmp_path: Path) -> None:
    """SIGTERM at any moment of the start of four workers: none is lost."""
    chance = random.Random(14)
    for _ in range(STARTS // 4):
        server = ServerProcess(tmp_path / "data", "--workers", "4").start(wait=False)
        try:
            time.sleep(chance.random() * 3)
            server.terminate()
            status = server.wait()
            assert status in {0, -15}, server.log.read_text()  # -15: before it had anything to end
        finally:
            server.kill()
