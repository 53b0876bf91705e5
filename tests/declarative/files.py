"""Two files: applying the second after the first takes every kind of step but those of accounts and organizations."""

from typing import Any

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


def allow(action: str, **more: Any) -> dict[str, Any]:
    """A policy of one statement."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]}


PULL = allow("ecr:BatchGetImage", Resource="*")
PUSH = allow("ecr:PutImage", Resource="*")


def before(account: str) -> dict[str, Any]:
    """What is there."""
    trust = allow("sts:AssumeRole", Principal={"AWS": account})
    holder = {"attached": ["pulls"], "inline": {"old": PULL}}
    tags = {"Changed": "1", "Gone": "1"}
    return {
        "policies": {"pulls": {"document": PULL, "tags": tags}, "spare": {"document": PULL}},
        "groups": {"nodes": holder, "gone": {}},
        "users": {
            "ann": {"groups": ["nodes"], "boundary": "pulls", "tags": tags, **holder},
            "bob": {"tags": tags},
            "gone": {"groups": ["nodes"], "boundary": "pulls", "tags": tags, **holder},
        },
        "roles": {
            "ci": {"trust": trust, "boundary": "pulls", "tags": tags, **holder},
            "cd": {"trust": trust, "tags": tags},
            "gone": {"trust": trust, "boundary": "pulls", "tags": tags, **holder},
        },
        "repositories": {
            "us-east-1": {
                "app": {"tags": tags, "policy": allow("ecr:BatchGetImage", Principal={"AWS": account})},
                "bare": {"tags": tags},
                "gone": {"tags": tags},
            }
        },
        "registries": {
            region: {"policy": allow("ecr:ReplicateImage", Principal={"AWS": account}, Resource="*")}
            for region in ("us-east-1", "eu-west-1")
        },
    }


def after(account: str) -> dict[str, Any]:
    """What is to be there: everything that can change has changed, and much is new or gone."""
    trust = allow("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{account}:user/bob"})
    holder = {"attached": [READ_ONLY], "inline": {"new": PUSH}}
    tags = {"Changed": "2", "New": "1"}
    return {
        "policies": {
            "pulls": {"document": PUSH, "tags": tags},
            "fresh": {"path": "/f/", "document": PULL, "tags": tags},
        },
        "groups": {"nodes": {"path": "/n/", **holder}, "fresh": {"path": "/f/", **holder}},
        "users": {
            "ann": {"path": "/a/", "groups": ["fresh"], "tags": tags, **holder},
            "bob": {"boundary": "pulls", "groups": ["nodes"], "tags": {"Changed": "1", "Gone": "1"}},
            "eve": {"path": "/e/", "groups": ["nodes"], "boundary": READ_ONLY, "tags": tags, **holder},
        },
        "roles": {
            "ci": {"trust": trust, "description": "builds", "tags": tags, **holder},
            "cd": {"trust": trust, "boundary": "pulls", "tags": {"Changed": "1", "Gone": "1"}},
            "fresh": {"path": "/f/", "trust": trust, "boundary": READ_ONLY, "tags": tags, **holder},
        },
        "repositories": {
            "us-east-1": {
                "app": {"mutability": "IMMUTABLE", "scan_on_push": True, "tags": tags},
                "bare": {"tags": {"Changed": "1", "Gone": "1"}, "policy": allow("ecr:BatchGetImage", Principal="*")},
                "fresh": {"tags": tags, "policy": allow("ecr:BatchGetImage", Principal="*")},
            }
        },
        "registries": {
            "us-east-1": {
                "policy_scope": "V1",
                "policy": allow("ecr:CreateRepository", Principal={"AWS": account}, Resource="*"),
            }
        },
    }
