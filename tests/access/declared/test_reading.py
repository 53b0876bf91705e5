"""Declarative files are read: what they say, and for every mistake the line and the way to it."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.access.declared.changes import changes
from moorage.access.declared.declaration import Account, Group, Managed, Repository, Role, User
from moorage.access.declared.reading import BYTES, DeclarationInvalid, read
from moorage.access.declared.writing import write
from moorage.names import AccountId, Region, RepositoryName

ACCOUNT = AccountId("111122223333")
HEAD = f'accounts:\n  "{ACCOUNT}":\n'
FILE = f"""\
version: 1
accounts:
  "{ACCOUNT}":
    policies:
      pushes:
        document:
          Version: 2012-10-17
          Statement:
            - {{Effect: Allow, Action: "ecr:*", Resource: "*"}}
    groups:
      builders:
        attached: [pushes]
    users:
      ann:
        path: /team/
        groups: [builders]
        tags: {{cost: 42}}
      bob:
    roles:
      ci:
        trust: >
          {{"Version":"2012-10-17","Statement":
          {{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole"}}}}
    repositories:
      us-east-1:
        team/app:
          mutability: IMMUTABLE
          policy:
            Version: "2012-10-17"
            Statement: [{{Effect: Allow, Principal: "*", Action: ["ecr:BatchGetImage"]}}]
        empty:
"""


def test_a_whole_file() -> None:
    account = read(FILE)[ACCOUNT]
    assert account.groups["builders"] == Group(attached=(f"arn:aws:iam::{ACCOUNT}:policy/pushes",))
    assert account.users == {"ann": User("/team/", ("builders",), tags={"cost": "42"}), "bob": User()}
    assert json.loads(account.policies["pushes"].document)["Version"] == "2012-10-17"
    assert account.repositories[Region("us-east-1"), RepositoryName("empty")] == Repository()
    assert '"Principal" : "*"' in (account.repositories[Region("us-east-1"), RepositoryName("team/app")].policy or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a: [", "line 1"),
        ("version: 2\naccounts: {}", "line 1, column 10, /version: this Moorage knows version 1"),
        ("account: {}", "line 1, column 1, /account: unknown key 'account'; did you mean 'accounts'?"),
        ("{}", "'accounts' is missing"),
        ("accounts: {x: {}}", "/accounts/x: an account is 12 digits"),
        (HEAD + "    users: {a: {}, A: {}}", "differ by case alone"),
        (HEAD + "    users: {a: {}, a: {}}", f"line 3, column 20, /accounts/{ACCOUNT}/users/a: is there twice"),
        (HEAD + "    users: {a: {boundry: x}}", "did you mean 'boundary'?"),
        (HEAD + "    users: {'a b': {}}", "is no name"),
        (HEAD + "    users: []", "must be a mapping"),
        (HEAD + "    users: {a: {groups: x}}", "must be a list"),
        (HEAD + "    users: {a: {path: x}}", "begins and ends with /"),
        (HEAD + "    users: {a: {path: [x]}}", "must be a text"),
        (HEAD + "    users: &u {}\n    groups: *u", "line 4: aliases"),
        (HEAD + "    roles: {a: {}}", "'trust' is missing"),
        (HEAD + "    policies: {a: {}}", "'document' is missing"),
        (HEAD + "    policies:\n      a:\n        document: {Version: 2012-10-17}", "line 5, column 19"),
        (HEAD + "    roles: {a: {trust: {}, max_session_seconds: 1}}", "from 3600 to 43200"),
        (HEAD + "    repositories: {us-east-1: {UP: {}}}", "/repositories/us-east-1/UP"),
        (HEAD + "    repositories: {us-east-1: {app: {mutability: NO}}}", "must be one of MUTABLE"),
        (HEAD + "    repositories: {us-east-1: {app: {scan_on_push: 3}}}", "true or false"),
        (HEAD + "    users: {a: {tags: {k: !!python/object:os.system x}}}", ""),
        ("accounts: " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("accounts: {} #" + "x" * BYTES, "longer than"),
        ("a: \x00", "does not take"),
        (HEAD + "    policies: {a: {document: {Version: " + "9" * 5000 + "}}}", "is no number"),
    ],
)
def test_mistakes_are_said_with_their_place(text: str, said: str) -> None:
    if not said:
        read(text)  # a tag of Python's is no more than its text
        return
    with pytest.raises(DeclarationInvalid) as refused:
        read(text)
    assert said in refused.value.message, refused.value.message


@given(st.text(max_size=200) | st.builds("accounts: {{'111122223333': {}}}".format, st.text(max_size=80)))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(DeclarationInvalid):
        read(text)


names = st.from_regex(r"[a-z][a-z0-9+=,.@-]{0,10}", fullmatch=True)
words = st.text("abcXYZ0189 :#'\"-_é", max_size=12)
tags = st.dictionaries(st.text("abcXY:1", min_size=1, max_size=8), words, max_size=3)
paths = st.sampled_from(["/", "/team/", "/a/b/"])
actions = st.lists(st.sampled_from(["ecr:*", "ecr:BatchGetImage", "ecr:Put*"]), min_size=1, max_size=2)
arns = st.lists(names.map("arn:aws:iam::aws:policy/{}".format), max_size=2, unique=True).map(sorted).map(tuple)


def policies(kind: str) -> st.SearchStrategy[str]:
    from moorage import policy

    element = {"Resource": "*"} if kind == "IDENTITY" else {"Principal": {"AWS": ACCOUNT}}
    condition = {"Condition": {"NumericLessThan": {"aws:EpochTime": 1.5}, "Bool": {"aws:SecureTransport": True}}}
    return st.builds(
        lambda action, sid, more: policy.parse(
            json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Sid": sid, "Effect": "Allow", "Action": action, **element, **more}],
                }
            ),
            policy.Kind[kind],
        ).canonical(),
        st.just(["sts:AssumeRole"]) if kind == "TRUST" else actions,
        st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True),
        st.sampled_from([{}, condition]),
    )


inline = st.dictionaries(names, policies("IDENTITY"), max_size=2)
accounts = st.builds(
    Account,
    st.dictionaries(names, st.builds(Managed, policies("IDENTITY"), paths, words, tags), max_size=2),
    st.dictionaries(names, st.builds(Group, paths, arns, inline), max_size=2),
    st.dictionaries(
        names, st.builds(User, paths, st.lists(names, max_size=2, unique=True).map(sorted).map(tuple), arns, inline,
                         st.none() | names.map("arn:aws:iam::aws:policy/{}".format), tags), max_size=2
    ),
    st.dictionaries(
        names,
        st.builds(Role, policies("TRUST"), paths, words, st.integers(3600, 43200), arns, inline, st.none(), tags),
        max_size=2,
    ),
    st.dictionaries(
        st.tuples(st.sampled_from([Region("us-east-1"), Region("eu-west-1")]), st.just(RepositoryName("team/app"))),
        st.builds(
            Repository,
            st.sampled_from(["MUTABLE", "IMMUTABLE"]),
            st.just(()),
            st.booleans(),
            st.none() | policies("REPOSITORY"),
            tags,
        ),
        max_size=2,
    ),
)  # fmt: skip


@settings(max_examples=25)
@given(accounts)
def test_what_is_written_is_read_back_as_it_was(account: Account) -> None:
    back = read(write({ACCOUNT: account}))[ACCOUNT]
    assert back == account
    assert changes(account, back, prune=True) == []


@settings(max_examples=25)
@given(accounts, accounts)
def test_changes_name_exactly_what_differs(before: Account, after: Account) -> None:
    found = changes(before, after, prune=True)
    assert (found == []) == (before == after)
    assert all(each.operation == "delete" or each.aspects or each.before is None for each in found)
    assert not [each for each in changes(before, after, prune=False) if each.operation == "delete"]


def test_a_role_is_made_after_those_that_it_trusts() -> None:
    def trusting(*roles: str) -> Role:
        principal = {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in roles] or ACCOUNT}
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        return Role(json.dumps({"Version": "2012-10-17", "Statement": statement}))

    roles = {
        "a": trusting("c", "d"),
        "b": trusting("a", "b"),
        "c": trusting(),
        "d": trusting("c", "e"),
        "e": trusting("d"),
    }
    found = [each.name for each in changes(Account(), Account(roles=roles), prune=False)]
    assert found == ["c", "e", "d", "a", "b"]  # d and e trust each other: either would be too early
