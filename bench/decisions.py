"""The policy engine alone, in process; and what deciding costs a manifest GET, beside Moorage with decisions off."""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from competitors import POLICY, REGION, Moorage
from measure import Row, compare, console, prepared, replay
from moorage import policy
from moorage.cache import Cache
from v2 import plain, push_image

CALLS = 50
BATCHES = 400
ACCOUNT = "123456789012"
CALLER = policy.Principal("user", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/bench", "AIDAABCDEFGHIJKLMNOPQ")
REQUEST = policy.Request(
    CALLER,
    "ecr:BatchGetImage",
    f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/team/app",
    ACCOUNT,
    {
        "aws:sourceip": "127.0.0.1",
        "aws:securetransport": "true",
        "aws:currenttime": "2026-01-01T00:00:00Z",
        "aws:epochtime": "1767225600",
        "aws:requestedregion": REGION,
        "aws:resourceaccount": ACCOUNT,
        "aws:principalarn": CALLER.arn,
        "aws:principalaccount": ACCOUNT,
        "aws:useragent": "docker/27.0",
    },
)
VARIED = CALLS * BATCHES
"""So many values that none is asked twice: answers are kept."""
BY_AGENT = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "ecr:*",
    "Condition": {"StringLike": {"aws:UserAgent": "curl/*"}},
}
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
EVERYTHING = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}

Statement = Mapping[str, Any]


def other(number: int, fails_by: str) -> Statement:
    """A statement that does not match `REQUEST`, for one reason only."""
    changes: dict[str, Statement] = {
        "principal": {"Principal": {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/other-{number}", f"{number:012d}"]}},
        "action": {"Action": ["ecr:Put*", "ecr:InitiateLayerUpload"]},
        "condition on text": {"Condition": {"StringEquals": {"aws:RequestedRegion": [f"eu-west-{number}"]}}},
        "condition on network": {"Condition": {"IpAddress": {"aws:SourceIp": [f"10.{number}.0.0/16", "192.0.2.0/24"]}}},
        "condition on pattern": {"Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/team-{number}*"}}},
        "resource": {"Resource": [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/other-{number}/*"]},
    }
    statement = {"Effect": "Allow", "Principal": {"AWS": CALLER.arn}, "Action": PULL, **changes[fails_by]}
    if fails_by == "resource":
        del statement["Principal"]
    return statement


REASONS = ("principal", "action", "condition on text", "condition on network", "condition on pattern", "resource")


def document(kind: policy.Kind, statements: list[Statement]) -> tuple[policy.Named, ...]:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return (policy.Named(kind.value, "", policy.parse(text, kind)),)


def policies(more: list[Statement], *, of_identity: bool = False) -> policy.Policies:
    """The repository policy of these benchmarks and an identity policy, one of them with `more` statements."""
    both: list[Statement] = [*POLICY["Statement"], BY_AGENT]  # type: ignore[list-item]
    repository = [*both, *([] if of_identity else more)]
    identity = [EVERYTHING, *(more if of_identity else [])]
    return policy.Policies(
        identity=document(policy.Kind.IDENTITY, identity), resource=document(policy.Kind.REPOSITORY, repository)
    )


def ten() -> policy.Policies:
    """Ten statements of a repository policy: three that are asked, and seven that fail by everything that can."""
    return policies([other(number, REASONS[number % 5]) for number in range(7)])


Asked = tuple[str, Mapping[str, Any]]
"""A resource and the condition-key values."""


def requests(of: str) -> Sequence[Asked]:
    """Requests that differ in what statements read that fail by that reason, so that none has been asked before."""
    varied = {
        "user agent": ("aws:useragent", "docker/27.{}"),
        "condition on text": ("aws:requestedregion", "us-east-{}"),
        "condition on network": ("aws:sourceip", "2001:db8::{:x}"),
        "condition on pattern": ("aws:principalarn", f"arn:aws:iam::{ACCOUNT}:role/deploy-{{}}"),
    }
    if of == "resource":
        return [(f"{REQUEST.resource}-{number}", REQUEST.context) for number in range(VARIED)]
    if of not in varied:
        return [(REQUEST.resource, REQUEST.context)]
    key, text = varied[of]
    return [(REQUEST.resource, {**REQUEST.context, key: text.format(number)}) for number in range(VARIED)]


def medians(asked: Mapping[str, policy.Policies], of: Sequence[Asked]) -> dict[str, float]:
    """Microseconds of one decision on each, in turn, so that a slow moment of the machine hits all of them.

    With plans that are kept, as the server keeps them; `making` says what one costs.
    """
    taken: dict[str, list[float]] = {name: [] for name in asked}
    answers: Cache[tuple[object, ...], Any] = Cache("answers", 8 << 20, policy.answer_size)
    plans = {name: policy.Plan(CALLER, REQUEST.action, each, answers) for name, each in asked.items()}
    for batch in range(BATCHES):
        some = [of[(batch * CALLS + call) % len(of)] for call in range(CALLS)]
        for name, plan in plans.items():
            began = time.perf_counter_ns()
            for resource, context in some:
                plan.decide(resource, REQUEST.resource_account, context)
            taken[name].append((time.perf_counter_ns() - began) / CALLS / 1000)
    return {name: statistics.median(figures) for name, figures in taken.items()}


def making(each: policy.Policies) -> float:
    """Microseconds of a first decision, for which the plan has to be made."""
    taken = []
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        policy.evaluate(REQUEST, each)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)


def engine() -> Table:
    """The engine's figures beside their goals, in microseconds."""
    table = Table("decisions in process, median µs", "values asked before", "at most", "new values")

    def row(what: str, before: float, goal: float, new: float) -> None:
        met = "green" if before <= goal else "red"
        table.add_row(what, f"[{met}]{before:.2f}[/]", f"{goal:g}", f"{new:.2f}")

    before, new = (medians({"ten": ten()}, requests(of))["ten"] for of in ("", "user agent"))
    row("ten statements", before, 15.0, new)
    for reason in REASONS:
        of_identity = reason == "resource"
        few, many = (
            policies([other(number, reason) for number in range(count)], of_identity=of_identity) for count in (7, 27)
        )
        found = [medians({"few": few, "many": many}, requests(of)) for of in ("", reason)]
        before, new = ((each["many"] - each["few"]) / 2 for each in found)
        row(f"ten more that fail by {reason}", before, 3.0, new)
    table.add_row("ten statements, the first time that the caller asks for the action", "", "", f"{making(ten()):.2f}")
    return table


class Undecided(Moorage):
    """The same server with decisions off (`undecided.py`)."""

    program = (sys.executable, str(Path(__file__).with_name("undecided.py")))


def enforcement(work: Path) -> Row:
    """Manifest GETs, decided and not."""
    replays = []
    servers: list[Moorage] = []
    try:
        for kind, port in ((Moorage, 24585), (Undecided, 24586)):
            server = kind(work / f"decisions-{port}", port)
            servers.append(server)
            server.repository("bench/pull")
            path = push_image(server, "bench/pull", server.authorization)[0]
            file = prepared(work / f"decided-{port}", [plain(server, path, server.authorization)])
            replays.append(partial(replay, server, file))
        return compare("manifest GET, against Moorage without decisions", "requests/s", 1 / 1.15, *replays)
    finally:
        for server in servers:
            server.stop()


def decisions(work: Path) -> list[Row]:
    console.print(engine())
    return [enforcement(work)]
