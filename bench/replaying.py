"""A million recorded decisions, as a busy registry would have them, and how long a proposed policy is tried on them."""

import asyncio
import json
import os
import random
import select
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from competitors import BIN, REGION, Moorage, client, credentials
from moorage import policy
from moorage.audit.shared_values import RecordedCaller, RecordedPolicies, RecordedPolicy
from moorage.identity.policies.aws_managed import BY_ARN
from moorage.settings import Settings
from moorage.store.metadata.audit.audit import DAY, AuditStore, Batch
from moorage.store.metadata.audit.tables import DecisionRow

ACCOUNT = "123456789012"
REPOSITORY = "bench/replay"
DECISIONS = 1_000_000
GOAL = 30.0
ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:PutImage")
_BATCH = 20_000
console = Console()


class Crowd:
    """A thousand callers (users here, roles of other accounts), each from a few of two thousand addresses."""

    def __init__(self, now: float) -> None:
        self.random = random.Random(7)
        self.now = now
        self.parts: dict[str, str] = {}
        managed = next(each for each in BY_ARN.values() if each.name == "AmazonEC2ContainerRegistryPowerUser").default
        attached = (RecordedPolicy("AmazonEC2ContainerRegistryPowerUser", managed.hash, "identity"),)
        self.policies = self.part(RecordedPolicies(identity=attached))
        self.callers = [self.caller(number) for number in range(1000)]

    def part(self, value: Any) -> str:
        text = msgspec.json.encode(value, order="deterministic").decode()
        name = blake2b(text.encode(), digest_size=16).hexdigest()
        self.parts[name] = text
        return name

    def caller(self, number: int) -> tuple[str, str, str, list[str]]:
        """ARN, account, part, and the condition-key values it comes with."""
        account = ACCOUNT if number % 2 else f"{number % 40:012d}"
        if number % 3:
            arn = f"arn:aws:iam::{account}:user/ci-{number}"
            principal = policy.Principal("user", account, arn, f"AIDA{number:017d}", user_name=f"ci-{number}")
        else:
            arn = f"arn:aws:sts::{account}:assumed-role/deploy-{number % 60}/run-{number}"
            role = f"arn:aws:iam::{account}:role/deploy-{number % 60}"
            identifier = f"AROA{number % 60:017d}"
            principal = policy.Principal("role", account, arn, f"{identifier}:run-{number}", role, identifier)
        kept = RecordedCaller(principal, "key", f"AKIA{number:016d}", {"aws:principaltag/team": f"team-{number % 25}"})
        contexts = [self.context(number, self.random.randrange(2000)) for _ in range(self.random.randint(1, 40))]
        return arn, account, self.part(kept), contexts

    def context(self, number: int, address: int) -> str:
        return self.part(
            {
                "aws:principaltype": "User" if number % 3 else "AssumedRole",
                "aws:sourceip": f"10.{address % 8}.{address // 250}.{address % 250}",
                "aws:securetransport": "true",
                "aws:requestedregion": REGION,
                "aws:resourceaccount": ACCOUNT,
                "aws:useragent": f"docker/2{address % 8}.0.{number % 5}",
                "aws:principaltag/team": f"team-{number % 25}",
                "aws:resourcetag/stage": "prod",
                "ecr:resourcetag/stage": "prod",
            }
        )

    def rows(self) -> Iterator[DecisionRow]:
        """A week of decisions, oldest first."""
        for number in range(DECISIONS):
            arn, account, caller, contexts = self.random.choice(self.callers)
            at = self.now - 7 * DAY + 60 + (7 * DAY - 120) * number / DECISIONS
            allowed = account == ACCOUNT
            yield DecisionRow(
                id=str(uuid.UUID(int=number + (1 << 100))),
                at=at,
                last=at + 900 if allowed else at,
                count=self.random.randint(1, 50) if allowed else 1,
                account=ACCOUNT,
                region=REGION,
                principal=arn,
                action=self.random.choice(ACTIONS),
                resource=f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}",
                allowed=allowed,
                rule="5c-identity-grant" if allowed else "6-no-resource-grant",
                message=None if allowed else f"User: {arn} is not authorized",
                caller=caller,
                context=self.random.choice(contexts),
                policies=self.policies,
            )


async def record(data: Path) -> None:
    """Write the decisions into the audit record in `data`."""
    store = await AuditStore.open(Settings(data=data))
    now = time.time()
    crowd = Crowd(now)
    batch: list[DecisionRow] = []
    for row in crowd.rows():
        batch.append(row)
        if len(batch) == _BATCH:
            await store.append(Batch(batch, [], crowd.parts, int(now // DAY)))
            batch, crowd.parts = [], {}
    await store.close()


def proposed(*, timed: bool) -> dict[str, Any]:
    """A policy of twelve statements, which grants some of the foreign accounts what they lack, from some networks."""
    condition: dict[str, Any] = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/15", "10.4.0.0/16"]}}
    if timed:
        condition["DateGreaterThan"] = {"aws:CurrentTime": "2020-01-01T00:00:00Z"}
    deny = {
        "Sid": "NotThere",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "ecr:PutImage",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.7.0.0/16"}},
    }
    grants = [
        {
            "Sid": f"Account{number}",
            "Effect": "Allow",
            "Principal": {"AWS": f"{number:012d}"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Condition": condition,
        }
        for number in range(0, 22, 2)
    ]
    return {"Version": "2012-10-17", "Statement": [deny, *grants]}


def replays(work: Path) -> None:
    """Fill the record, then try both policies through the command; the server answers others all the while."""
    data = work / "replay"
    ours = Moorage(data, 24588)
    try:
        _replays(work, data, ours)
    finally:
        ours.stop()


def _replays(work: Path, data: Path, ours: Moorage) -> None:
    root = credentials(data)
    client(ours, "ecr", root).create_repository(repositoryName=REPOSITORY)
    console.print(f"  recording {DECISIONS:,} decisions …")
    asyncio.run(record(data))
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": root[0],
        "AWS_SECRET_ACCESS_KEY": root[1],
        "AWS_ENDPOINT_URL": ours.url,
        "AWS_REGION": REGION,
    }
    for what, timed in (("", False), (", the policy asking the time", True)):
        file = work / "proposed.json"
        file.write_text(json.dumps(proposed(timed=timed)))
        idle = ours.memory()
        command = [str(BIN / "moorage"), "policy", "try", REPOSITORY, str(file), "--last", "8d", "--json"]
        began = time.monotonic()
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        slowest, peak = 0.0, idle
        assert running.stdout is not None
        while running.poll() is None and not _has_output(running):
            asked = time.monotonic()
            urllib.request.urlopen(f"{ours.url}/_moorage/ready").close()
            slowest = max(slowest, time.monotonic() - asked)
            peak = max(peak, ours.memory())
            time.sleep(0.05)
        report = json.loads(running.communicate()[0])
        seconds = time.monotonic() - began
        assert running.returncode == 0
        assert report["decisions"] >= DECISIONS  # making the repository was one, too
        assert report["lostRequests"]
        assert report["gainedRequests"]
        console.print(
            f"  replay of {DECISIONS:,} decisions ({report['requests']:,} requests){what}: {seconds:.1f} s "
            f"(at most {GOAL:.0f}); another request waited {slowest * 1000:.0f} ms at most; {peak - idle:+.0f} MiB"
        )


def _has_output(running: "subprocess.Popen[str]") -> bool:
    assert running.stdout is not None
    return bool(select.select([running.stdout], [], [], 0)[0])
