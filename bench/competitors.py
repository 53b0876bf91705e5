"""The servers that are measured: Moorage, Debian's docker-registry without authentication, and moto's server."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
REGION = "us-east-1"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "OnlyFromHere",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "ecr:*",
            "Condition": {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "10.0.0.0/8"]}},
        },
        {
            "Sid": "Team",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:user/bench"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
        },
    ],
}


class Server:
    """A process on a loopback port, ended by its id."""

    def __init__(self, port: int, arguments: list[str], ready: str, **more: Any) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
        end = time.monotonic() + 60
        while not self._answers(ready):
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()
                raise SystemExit(f"does not start: {' '.join(arguments)}")
            time.sleep(0.05)

    def _answers(self, path: str) -> bool:
        try:
            urllib.request.urlopen(self.url + path, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def memory(self) -> float:
        """Resident MiB of the process that serves: the largest of the family."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return max(float(each.memory_info().rss) for each in family) / (1 << 20)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def docker_registry(work: Path, port: int) -> Server:
    """Debian's docker-registry 2.8 on the filesystem driver, without authentication, as it comes."""
    configuration = work / "registry.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {work / 'registry'}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    return Server(port, ["docker-registry", "serve", str(configuration)], "/v2/")


def moto(work: Path, port: int) -> Server:
    """moto's server, in a virtual environment of its own."""
    environment = ROOT / ".tools" / "moto"
    if not (environment / "bin" / "moto_server").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin" / "pip", "install", "-q", "moto[server]==5.2.5"], check=True)
    return Server(port, [str(environment / "bin" / "moto_server"), "-p", str(port)], "/moto-api/", cwd=work)


class Moorage(Server):
    """`moorage serve` in its default configuration, with a user whose requests are decided by policies."""

    program: tuple[str, ...] = (str(BIN / "moorage"),)

    def __init__(self, data: Path, port: int) -> None:
        if not data.exists():
            init = [str(BIN / "moorage"), "init", "--data", str(data), "--account", "123456789012"]
            subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        serve = [*self.program, "serve", "--data", str(data), "--port", str(port)]
        super().__init__(port, serve, "/_moorage/ready")
        root = credentials(data)
        iam = client(self, "iam", root)
        try:
            iam.create_user(UserName="bench")
        except iam.exceptions.EntityAlreadyExistsException:
            for key in iam.list_access_keys(UserName="bench")["AccessKeyMetadata"]:
                iam.delete_access_key(UserName="bench", AccessKeyId=key["AccessKeyId"])
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="bench", PolicyName="ecr", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName="bench")["AccessKey"]
        self.key = (key["AccessKeyId"], key["SecretAccessKey"])
        token = client(self, "ecr", self.key).get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.authorization = f"Basic {token}"
        assert base64.b64decode(token).startswith(b"AWS:")

    def repository(self, name: str) -> None:
        """Make a repository with the policy."""
        ecr = client(self, "ecr", self.key)
        ecr.create_repository(repositoryName=name)
        ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(POLICY))


def credentials(data: Path) -> tuple[str, str]:
    """The key that `moorage init` wrote."""
    values = dict(line.split(" = ") for line in (data / "credentials").read_text().splitlines() if " = " in line)
    return values["aws_access_key_id"], values["aws_secret_access_key"]


def client(server: Server, service: str, key: tuple[str, str] = ("test", "test")) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(retries={"total_max_attempts": 1}),
    )


def missing() -> list[str]:
    """Programs the benchmark needs that are not here."""
    return [name for name in ("docker-registry", "wrk", "curl") if shutil.which(name) is None]


def clean_environment() -> None:
    """No proxy and no AWS setting of the shell reaches the measured clients."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
