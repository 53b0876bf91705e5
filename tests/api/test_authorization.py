"""What is declared and how it is decided: nothing is registered without a declaration, and nothing runs undecided."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from moorage.access.resources import NamedResource
from moorage.api.admin.operation import Call, operation, table
from moorage.api.authorization import (
    AUTHENTICATED,
    BY_STATE,
    UNAUTHENTICATED,
    Concealed,
    UndecidedError,
    check_declared,
    decide,
)
from moorage.api.aws.operation import Operation as AwsOperation
from moorage.api.aws.operation import Service
from moorage.api.oci import ping
from moorage.api.oci.operation import Operation
from moorage.errors import AccessDenied
from moorage.names import AccountId

ACCOUNT = AccountId("111122223333")
ASKED, FOUND = NamedResource(ACCOUNT, "user/bob"), NamedResource(ACCOUNT, "user/hidden/bob")


class Rules:
    """Allows the resources that the test says, and writes down what it is asked."""

    def __init__(self, *allowed: NamedResource) -> None:
        self.allowed = allowed
        self.recorded: list[str] = []

    async def require(self, _caller: Any, _connection: Any, action: str, resource: Any, **_: Any) -> None:
        self.recorded.append(f"{action} {resource.arn}")
        if resource not in self.allowed:
            raise AccessDenied(f"not on {resource.arn}")

    async def sees(self, _caller: Any, _connection: Any, _action: str, resource: Any, **_: Any) -> bool:
        return resource in self.allowed


async def decided(rules: Any, actions: Sequence[str], targets: Sequence[Any]) -> None:
    nobody: Any = None
    await decide(rules, nobody, nobody, actions, targets)


class Declared(NamedTuple):
    request: type[Any]


async def wish(_call: Any, _request: Any) -> None: ...


async def call(_call: Call, _request: None) -> Any: ...


def service(*operations: AwsOperation) -> Service[Any]:
    return Service("thing", "json", "V1", operations, {"Wish": Declared(object)})


@pytest.mark.parametrize("missing", [None, "", ()])
def test_no_door_takes_an_operation_without_an_action(missing: Any) -> None:
    with pytest.raises(ValueError, match="declares no action"):
        service(AwsOperation("Wish", wish, missing, lambda *_: [ASKED]))
    with pytest.raises(ValueError, match="declares no action"):
        operation("/_moorage/wish", call, missing, lambda *_: [ASKED])
    with pytest.raises(ValueError, match="declares no action"):
        Operation("wish", "GET", ping.get, missing, None)


def test_an_action_goes_with_a_resource_and_an_exemption_with_none() -> None:
    with pytest.raises(ValueError, match="declares no resource"):
        service(AwsOperation("Wish", wish, "thing:Wish"))
    with pytest.raises(ValueError, match="declares no resource"):
        operation("/_moorage/wish", call, "moorage:Wish")
    with pytest.raises(ValueError, match="has no resource"):
        check_declared("wish", AUTHENTICATED, ASKED, AUTHENTICATED)


def test_each_door_has_its_exemptions() -> None:
    for exempt in (UNAUTHENTICATED, BY_STATE):
        with pytest.raises(ValueError, match="no exemption of this door"):
            service(AwsOperation("Wish", wish, exempt))
        with pytest.raises(ValueError, match="no exemption of this door"):
            Operation("wish", "GET", ping.get, exempt, None)


def test_an_operation_of_a_service_is_registered_once_and_is_one_of_its_model() -> None:
    one = AwsOperation("Wish", wish, AUTHENTICATED)
    assert service(one).requests == {"Wish": object}
    with pytest.raises(ValueError, match="two operations"):
        service(one, one)
    with pytest.raises(ValueError, match="does not have \\['Want'\\]"):
        service(one, AwsOperation("Want", wish, AUTHENTICATED))


def test_a_call_is_registered_once() -> None:
    one = operation("/_moorage/wish", call, UNAUTHENTICATED)
    assert table(one, operation("/_moorage/wish", call, UNAUTHENTICATED, method="GET"))
    with pytest.raises(ValueError, match="twice"):
        table(one, one)


@pytest.mark.parametrize(("actions", "targets"), [((), (ASKED,)), (("iam:GetUser",), ()), ((), ())])
async def test_an_empty_side_decides_nothing_and_raises(actions: Any, targets: Any) -> None:
    rules = Rules(ASKED)
    with pytest.raises(UndecidedError):
        await decided(rules, actions, targets)
    assert rules.recorded == []


async def test_every_action_is_decided_on_every_target() -> None:
    rules = Rules(ASKED, FOUND)
    await decided(rules, ["a", "b"], [ASKED, FOUND])
    assert rules.recorded == ["a user/bob", "a user/hidden/bob", "b user/bob", "b user/hidden/bob"]


async def test_a_concealed_resource_is_named_only_to_whoever_may_use_it() -> None:
    concealed = Concealed(ASKED, FOUND)
    allowed = Rules(FOUND)
    await decided(allowed, ["a"], [concealed])
    assert allowed.recorded == ["a user/hidden/bob"]
    denied = Rules()
    with pytest.raises(AccessDenied, match="user/bob"):
        await decided(denied, ["a"], [concealed])
    assert denied.recorded == ["a user/bob"]
    by_the_other_name = Rules(ASKED)  # what is asked for is not what is found: the permission does not carry over
    with pytest.raises(AccessDenied, match="hidden"):
        await decided(by_the_other_name, ["a"], [concealed])
