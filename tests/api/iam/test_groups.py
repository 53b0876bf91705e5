"""Groups through the AWS door: their life, their members, and that their policies count."""

from tests.support.query_client import ALLOW_ALL, OWNER, QueryClient


async def test_a_group_is_made_renamed_listed_and_deleted(root: QueryClient) -> None:
    made = (await root.ok("CreateGroup", GroupName="devs", Path="/a/"))["Group"]
    assert made["Arn"] == f"arn:aws:iam::{OWNER}:group/a/devs"
    assert made["GroupId"].startswith("AGPA")
    assert (await root.refused("CreateGroup", GroupName="DEVS"))[:2] == (409, "EntityAlreadyExists")
    await root.ok("UpdateGroup", GroupName="devs", NewGroupName="developers", NewPath="/b/")
    assert (await root.ok("ListGroups", PathPrefix="/b"))["Groups"][0]["GroupId"] == made["GroupId"]
    await root.ok("CreateGroup", GroupName="other")
    assert (await root.refused("UpdateGroup", GroupName="other", NewGroupName="Developers"))[:2] == (
        409,
        "EntityAlreadyExists",
    )
    await root.ok("DeleteGroup", GroupName="developers")
    assert (await root.refused("GetGroup", GroupName="developers"))[:2] == (404, "NoSuchEntity")


async def test_members_come_in_pages_and_keep_the_group(root: QueryClient) -> None:
    await root.ok("CreateGroup", GroupName="devs")
    for name in ("ann", "bob", "cyd"):
        await root.ok("CreateUser", UserName=name)
        await root.ok("AddUserToGroup", GroupName="devs", UserName=name)
    await root.ok("AddUserToGroup", GroupName="devs", UserName="ann")
    first = await root.ok("GetGroup", GroupName="devs", MaxItems=2)
    assert [user["UserName"] for user in first["Users"]] == ["ann", "bob"]
    last = await root.ok("GetGroup", GroupName="devs", MaxItems=2, Marker=first["Marker"])
    assert ([user["UserName"] for user in last["Users"]], last["IsTruncated"]) == (["cyd"], False)
    assert (await root.refused("DeleteGroup", GroupName="devs"))[:2] == (409, "DeleteConflict")
    assert (await root.refused("DeleteUser", UserName="ann"))[:2] == (409, "DeleteConflict")
    assert [group["GroupName"] for group in (await root.ok("ListGroupsForUser", UserName="ann"))["Groups"]] == ["devs"]
    for name in ("ann", "bob", "cyd"):
        await root.ok("RemoveUserFromGroup", GroupName="devs", UserName=name)
    await root.ok("RemoveUserFromGroup", GroupName="devs", UserName="ann")  # already out
    await root.ok("DeleteGroup", GroupName="devs")
    assert (await root.refused("AddUserToGroup", GroupName="devs", UserName="ann"))[0] == 404


async def test_a_user_is_in_ten_groups_at_most(root: QueryClient) -> None:
    await root.ok("CreateUser", UserName="ann")
    for number in range(11):
        await root.ok("CreateGroup", GroupName=f"g{number}")
    for number in range(10):
        await root.ok("AddUserToGroup", GroupName=f"g{number}", UserName="ann")
    refused = await root.refused("AddUserToGroup", GroupName="g10", UserName="ann")
    assert refused == (409, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")
    assert len((await root.ok("ListGroupsForUser", UserName="ann"))["Groups"]) == 10


async def test_the_groups_policies_count_while_a_user_is_in_it(root: QueryClient) -> None:
    ann = await root.user("ann")
    await root.ok("CreateGroup", GroupName="admins")
    await root.ok("PutGroupPolicy", GroupName="admins", PolicyName="all", PolicyDocument=ALLOW_ALL)
    assert (await ann.refused("ListUsers"))[:2] == (403, "AccessDenied")
    await root.ok("AddUserToGroup", GroupName="admins", UserName="ann")
    await ann.ok("ListUsers")
    await root.ok("DeleteGroupPolicy", GroupName="admins", PolicyName="all")
    assert (await ann.refused("ListUsers"))[0] == 403
    await root.ok("AttachGroupPolicy", GroupName="admins", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    await ann.ok("ListUsers")
    await root.ok("RemoveUserFromGroup", GroupName="admins", UserName="ann")
    assert (await ann.refused("ListUsers"))[0] == 403
