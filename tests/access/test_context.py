"""The contexts of requests that are alike are made once, and those of others never mixed up."""

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from moorage import policy
from moorage.access.caller import Caller, Connection
from moorage.access.context import Contexts, of_credential, of_request
from moorage.identity.credentials.credentials import PolicySets
from moorage.names import Region

ACCOUNT = "111111111111"
NO_KEYS: Mapping[str, str] = {}


def caller(name: str) -> Caller:
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    return Caller(policy.Principal("user", ACCOUNT, arn, name), "key", "AKIA", PolicySets(), {"aws:principalarn": arn})


def connection(**changed: Any) -> Connection:
    usual = Connection(
        "10.0.0.1", secure=False, user_agent="docker", referer=None, host="h", region=Region("eu-west-1")
    )
    return msgspec.structs.replace(usual, **changed)


def test_alike_within_a_second_is_made_once() -> None:
    contexts, tags = Contexts(), {"team": "blue"}
    ann = caller("ann")
    first = contexts.of(ann, connection(), 7.1, ACCOUNT, tags, NO_KEYS, {})
    assert contexts.of(ann, connection(), 7.9, ACCOUNT, tags, NO_KEYS, {}) is first
    assert contexts.of(ann, connection(), 8.0, ACCOUNT, tags, NO_KEYS, {})["aws:epochtime"] == "8"


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_request_says_whatever_came_before(seed: int) -> None:
    chance, contexts = random.Random(seed), Contexts()
    for _ in range(500):
        who = caller(chance.choice(["ann", "bob"]))
        tags: Mapping[str, str] = {"team": chance.choice(["blue", "red"])}
        where = connection(
            source_ip=chance.choice(["10.0.0.1", "10.0.0.2"]),
            secure=chance.random() < 0.5,
            user_agent=chance.choice(["docker", None]),
            referer=chance.choice(["r", None]),
            region=chance.choice(["eu-west-1", "us-east-1"]),
        )
        keys = chance.choice([{}, {"aws:principalorgid": "o-1"}, {"aws:principalorgid": "o-2"}])
        extra = chance.choice([{}, {}, {"ecr:key": "value"}])
        account, now = chance.choice([ACCOUNT, "222222222222"]), chance.choice([7.0, 7.5, 8.0])
        told = contexts.of(who, where, now, account, tags, keys, extra)
        assert told == of_request(who, where, now, account, tags, {**extra, **keys})


def test_a_caller_that_is_gone_is_not_taken_for_the_next_one() -> None:
    contexts, tags = Contexts(), {"team": "blue"}
    for number in range(200):  # each is gone when the next is made, which may then stand where it stood
        told = contexts.of(caller(f"user-{number}"), connection(), 7.0, ACCOUNT, tags, NO_KEYS, {})
        assert str(told["aws:principalarn"]).endswith(f"user-{number}")


def test_what_is_kept_is_bounded() -> None:
    contexts, ann = Contexts(), caller("ann")
    for number in range(3000):
        contexts.of(ann, connection(source_ip=str(number)), 7.0, ACCOUNT, NO_KEYS, NO_KEYS, {})
    assert 100 < len(contexts._made) < 3000
    assert contexts._made.size <= contexts._made.most


@pytest.mark.parametrize("kind", ["web", "anonymous"])
def test_who_signs_nothing_has_neither_arn_nor_account(kind: policy.PrincipalKind) -> None:
    known = of_credential(policy.Principal(kind, "", "issuer", "issuer:audience:subject"), None)
    assert {"aws:principalarn", "aws:principalaccount"}.isdisjoint(known)
    assert known["aws:userid"] == "issuer:audience:subject"
