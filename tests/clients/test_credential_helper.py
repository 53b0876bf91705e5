"""Amazon's credential helper on a real ECR host name: TLS on 127.0.0.1:443, the name known in one namespace only."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.clients.conftest import need
from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess, free_port, run

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def test_crane_pushes_through_the_helper(tmp_path: Path, layout: Path) -> None:
    for program in ("crane", "docker-credential-ecr-login", "unshare"):
        need(program)
    if os.geteuid() != 0:
        pytest.skip("listening on port 443 and unsharing mounts need root")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 443)) != 0, "somebody listens on port 443"
    run_moorage("ca", "--out", str(tmp_path / "tls"), HOST, "127.0.0.1")
    tls = ("--tls-cert", str(tmp_path / "tls" / "server.crt"), "--tls-key", str(tmp_path / "tls" / "server.key"))
    data = tmp_path / "data"
    secure = ServerProcess(data, *tls, port=443).start(environment={"MOORAGE_HOSTS": HOST})
    # The helper takes only a proxyEndpoint that is an ECR host name.
    api = ServerProcess(data, "--uri-style", "aws", port=free_port()).start()
    try:
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"credHelpers": {HOST: "ecr-login"}}))
        hosts = tmp_path / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
        environment = os.environ | {
            "HOME": str(tmp_path),
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "AWS_ENDPOINT_URL": api.url,
            "AWS_ECR_DISABLE_CACHE": "1",
            "AWS_ACCESS_KEY_ID": "123456789012",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "SSL_CERT_FILE": str(tmp_path / "tls" / "ca.crt"),
        }
        crane = shutil.which("crane")
        image = f"{HOST}/helper/app:v1"
        inside = f"mount --bind {hosts} /etc/hosts; {crane} push {layout} {image} && {crane} digest {image}"
        done = run(["unshare", "-m", "--propagation", "private", "bash", "-c", inside], env=environment)
        assert "sha256:" in done.stdout
        described = api.client("ecr", "123456789012").describe_images(repositoryName="helper/app")
        assert described["imageDetails"][0]["imageTags"] == ["v1"]
    finally:
        secure.stop()
        api.stop()
