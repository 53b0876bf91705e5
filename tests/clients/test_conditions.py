"""Two accounts, roles taken on by the AWS CLI, and docker, let through and refused by the conditions of a repository
policy: the way of a user from `aws sts assume-role` to the words that docker prints."""

import asyncio
import contextlib
import json
import os
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.commands import Docker
from tests.clients.conftest import need
from tests.support.command_line import run_moorage
from tests.support.server_process import MOORAGE, ServerProcess, free_port, run

OWNER, READER = "111122223333", "444455556666"
BRANCH_OFFICE = "127.0.0.2"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
PUSH = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
]


class Relay:
    """A way to the server from another address: what comes in on `port` goes on from BRANCH_OFFICE."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def start(self) -> "Relay":
        self._thread.start()
        assert self._listening.wait(20)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", self.port):
            self._listening.set()
            await self._ending.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target, local_addr=(BRANCH_OFFICE, 0))

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while piece := await source.read(65536):
                    target.write(piece)
                    await target.drain()
            target.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))


class Cli:
    """The AWS CLI with the configuration of one person: the key of a user, and profiles of the roles it takes on."""

    def __init__(self, server: ServerProcess, home: Path, account: str) -> None:
        self.server = server
        self.account = account
        (home / ".aws").mkdir(parents=True)
        self._config = home / ".aws" / "config"
        self._config.write_text("[default]\nregion = us-east-1\n\n")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_PAGER": "",
            "AWS_ENDPOINT_URL": server.url,
        }
        self._credentials = home / ".aws" / "credentials"

    def sign_in(self, key: dict[str, str]) -> None:
        """As `aws configure` does it."""
        self._credentials.write_text(
            f"[default]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
        )

    def profile(self, name: str, role: str, **more: str) -> None:
        """A role as people write it into ~/.aws/config: the CLI takes it on by itself."""
        lines = [f"[profile {name}]", f"role_arn = {role}", "source_profile = default", "region = us-east-1"]
        lines += [f"{option} = {value}" for option, value in more.items()]
        with self._config.open("a") as config:
            config.write("\n".join(lines) + "\n")

    def __call__(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        program = str(Path(MOORAGE).with_name("aws"))
        return run([program, *arguments], env=self._environment | environment)

    def assume(self, role: str, session: str, *options: str) -> dict[str, str]:
        """`aws sts assume-role`, as the variables that people export from it."""
        said = self("sts", "assume-role", "--role-arn", role, "--role-session-name", session, *options).stdout
        made = json.loads(said)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
            "AWS_SESSION_TOKEN": made["SessionToken"],
        }

    def password(self, *options: str, **environment: str) -> str:
        return self("ecr", "get-login-password", *options, **environment).stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One of its own: the clock is set here."""
    running = ServerProcess(tmp_path_factory.mktemp("conditions") / "data").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def branch_office(server: ServerProcess) -> Iterator[str]:
    """Host and port as they are typed in the branch office."""
    relay = Relay(server.port).start()
    yield f"127.0.0.1:{relay.port}"
    relay.stop()


@pytest.fixture(scope="module")
def docker(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    need("docker")
    need("dockerd")
    made = Docker(tmp_path_factory.mktemp("docker"), layout)
    try:
        made.prepare()
        yield made
    finally:
        made.close()


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="module")
def reader(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The other account: user `ci` may take on the roles `puller` (team blue) and `other` (team red)."""
    iam = server.client("iam", READER)
    iam.create_user(UserName="ci")
    roles = f"arn:aws:iam::{READER}:role/*"
    assume = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": roles}
    iam.put_user_policy(UserName="ci", PolicyName="assume", PolicyDocument=document(assume))
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{READER}:user/ci"}}
    trust["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    for role, team in (("puller", "blue"), ("other", "red")):
        tags = [{"Key": "team", "Value": team}]
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=document(trust), Tags=tags)
        power = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"
        iam.attach_role_policy(RoleName=role, PolicyArn=power)
    cli = Cli(server, tmp_path_factory.mktemp("reader"), READER)
    cli.sign_in(iam.create_access_key(UserName="ci")["AccessKey"])
    for role in ("puller", "other"):
        cli.profile(role, f"arn:aws:iam::{READER}:role/{role}", role_session_name=f"{role}-7")
    return cli


@pytest.fixture(scope="module")
def owner(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The account of the repositories: user `admin` may do everything in it."""
    iam = server.client("iam", OWNER)
    iam.create_user(UserName="admin")
    iam.attach_user_policy(UserName="admin", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    cli = Cli(server, tmp_path_factory.mktemp("owner"), OWNER)
    cli.sign_in(iam.create_access_key(UserName="admin")["AccessKey"])
    return cli


@pytest.fixture(scope="module")
def passwords(reader: Cli) -> dict[str, str]:
    """Of each role, by its profile."""
    return {role: reader.password("--profile", role) for role in ("puller", "other")}


class Shared:
    """A repository of the owner with one image, and its policy."""

    def __init__(self, server: ServerProcess, owner: Cli, docker: Docker, name: str) -> None:
        self._ecr = server.client("ecr", OWNER)
        self.name = name
        self.arn = f"arn:aws:ecr:us-east-1:{OWNER}:repository/{name}"
        self.reference = f"{server.registry}/{OWNER}/us-east-1/{name}:v1"
        self._ecr.create_repository(repositoryName=name)
        docker.login(server.registry, "AWS", owner.password())
        docker.push(self.reference)

    def allow(self, actions: list[str], **condition: Any) -> None:
        """Let the reader's account do so, on these conditions."""
        statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": READER}, "Action": actions}
        if condition:
            statement["Condition"] = condition
        self._ecr.set_repository_policy(repositoryName=self.name, policyText=document(statement))

    def tag(self, key: str, value: str) -> None:
        self._ecr.tag_resource(resourceArn=self.arn, tags=[{"Key": key, "Value": value}])


def pulled(docker: Docker, reference: str) -> str:
    """Nothing when the pull went well; else what docker printed on its standard error."""
    done = docker.pull(reference, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()


def refusal(repository: Shared, session: str, action: str = "ecr:BatchGetImage") -> str:
    """How docker's message about it begins; a decision's id follows."""
    return (
        f"User: arn:aws:sts::{READER}:assumed-role/{session} is not authorized to perform: {action} "
        f"on resource: {repository.arn} because no resource-based policy allows the {action} action (decision "
    )


def test_a_role_pulls_from_another_account_once_both_sides_allow_it(
    server: ServerProcess, owner: Cli, reader: Cli, docker: Docker
) -> None:
    shared = Shared(server, owner, docker, "roles/app")
    role = reader.assume(f"arn:aws:iam::{READER}:role/puller", "by-hand")
    assert json.loads(reader("sts", "get-caller-identity", **role).stdout)["Arn"].endswith("/puller/by-hand")
    docker.login(server.registry, "AWS", reader.password(**role))
    said = pulled(docker, shared.reference)
    assert said.startswith("Error response from daemon: pull access denied for ")
    assert f": denied: {refusal(shared, 'puller/by-hand')}" in said
    decision = said.partition("(decision ")[2].rstrip(")")
    explained = run_moorage(
        "why",
        decision,
        "--port",
        str(server.port),
        env={**os.environ, "AWS_ACCESS_KEY_ID": OWNER, "AWS_SECRET_ACCESS_KEY": "x", "NO_COLOR": "1"},
    ).stdout
    assert explained.startswith("DENIED  ecr:BatchGetImage on roles/app")
    text = document({"Effect": "Allow", "Principal": {"AWS": READER}, "Action": PULL})
    owner("ecr", "set-repository-policy", "--repository-name", shared.name, "--policy-text", text)
    assert pulled(docker, shared.reference) == ""
    # A session policy leaves of the role's rights only what it allows.
    login_only = document({"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"})
    limited = reader.assume(f"arn:aws:iam::{READER}:role/puller", "limited", "--policy", login_only)
    docker.login(server.registry, "AWS", reader.password(**limited))
    assert "because no session policy allows the ecr:BatchGetImage action" in pulled(docker, shared.reference)


def test_from_one_address_only(
    server: ServerProcess, owner: Cli, passwords: dict[str, str], docker: Docker, branch_office: str
) -> None:
    shared = Shared(server, owner, docker, "source-ip/app")
    for registry in (server.registry, branch_office):
        docker.login(registry, "AWS", passwords["puller"])
    from_the_branch = shared.reference.replace(server.registry, branch_office)
    shared.allow(PULL, IpAddress={"aws:SourceIp": f"{BRANCH_OFFICE}/32"})
    assert refusal(shared, "puller/puller-7") in pulled(docker, shared.reference)
    assert pulled(docker, from_the_branch) == ""
    shared.allow(PULL, NotIpAddress={"aws:SourceIp": f"{BRANCH_OFFICE}/32"})
    assert refusal(shared, "puller/puller-7") in pulled(docker, from_the_branch)
    assert pulled(docker, shared.reference) == ""


def test_by_the_tags_of_the_caller(
    server: ServerProcess, owner: Cli, reader: Cli, passwords: dict[str, str], docker: Docker
) -> None:
    shared = Shared(server, owner, docker, "principal-tag/app")
    shared.allow([*PULL, *PUSH], StringEquals={"aws:PrincipalTag/team": "blue"})
    docker.login(server.registry, "AWS", passwords["other"])
    assert refusal(shared, "other/other-7") in pulled(docker, shared.reference)
    docker.login(server.registry, "AWS", passwords["puller"])
    assert pulled(docker, shared.reference) == ""
    pushed = shared.reference.replace(":v1", ":v2")
    docker.push(pushed)
    docker.login(server.registry, "AWS", passwords["other"])
    denied = docker.push(pushed.replace(":v2", ":v3"), check=False)
    assert denied.returncode != 0
    assert f"denied: {refusal(shared, 'other/other-7', 'ecr:InitiateLayerUpload')}" in denied.stderr
    # Tags of a session go over those of its role.
    tagged = reader.assume(f"arn:aws:iam::{READER}:role/other", "tagged", "--tags", "Key=team,Value=blue")
    docker.login(server.registry, "AWS", reader.password(**tagged))
    assert pulled(docker, shared.reference) == ""


def test_by_the_tags_of_the_repository(
    server: ServerProcess, owner: Cli, passwords: dict[str, str], docker: Docker
) -> None:
    shared = Shared(server, owner, docker, "resource-tag/app")
    shared.allow(
        PULL, StringEquals={"ecr:ResourceTag/stage": "released", "aws:PrincipalTag/team": "${ecr:ResourceTag/team}"}
    )
    docker.login(server.registry, "AWS", passwords["puller"])
    for key, value in (("stage", "draft"), ("team", "blue")):
        shared.tag(key, value)
        assert refusal(shared, "puller/puller-7") in pulled(docker, shared.reference)
    shared.tag("stage", "released")
    assert pulled(docker, shared.reference) == ""
    shared.tag("team", "red")
    assert refusal(shared, "puller/puller-7") in pulled(docker, shared.reference)


def test_until_a_day(server: ServerProcess, owner: Cli, passwords: dict[str, str], docker: Docker) -> None:
    shared = Shared(server, owner, docker, "time/app")
    docker.login(server.registry, "AWS", passwords["puller"])
    now = time.time()
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 600))
    shared.allow(PULL, DateLessThan={"aws:CurrentTime": ends})
    assert pulled(docker, shared.reference) == ""
    set_clock(server, now + 1200)
    try:
        assert refusal(shared, "puller/puller-7") in pulled(docker, shared.reference)
    finally:
        set_clock(server, time.time())
    assert pulled(docker, shared.reference) == ""
    shared.allow(PULL, NumericLessThan={"aws:EpochTime": str(int(now))})
    assert refusal(shared, "puller/puller-7") in pulled(docker, shared.reference)


def set_clock(server: ServerProcess, now: float) -> None:
    request = urllib.request.Request(
        f"{server.url}/_moorage/clock",
        data=json.dumps({"now": now}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
