"""Declarative files are read: what they say, and for every mistake the line and the way to it."""

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage import policy
from moorage.declarative import writer
from moorage.declarative.changes import Change, changes
from moorage.declarative.declaration import (
    SECTIONS,
    Account,
    DeclaredPolicy,
    File,
    Group,
    Registry,
    Repository,
    Role,
    User,
)
from moorage.declarative.reader import read
from moorage.declarative.yaml_nodes import BYTES, NODES, DeclarationInvalid
from moorage.names import AccountId, Region, RepositoryName

ACCOUNT, OTHER = AccountId("111122223333"), AccountId("444455556666")
HEAD = f'accounts:\n  "{ACCOUNT}":\n'


def write(file: File) -> str:
    """The file as `moorage export` puts it together."""
    before: tuple[str, ...] = ("accounts",)
    texts = [f"{writer.HEAD}{writer.ACCOUNTS}:{'' if file.accounts else ' {}'}\n"]
    for name, account in file.accounts.items():
        texts += [] if account != Account() else [writer.part(("accounts", name), {}, before)]
        for section in SECTIONS:
            for key, value in sorted(getattr(account, section).items()):
                text, before = writer.entry(name, section, key, value, before)
                texts.append(text)
    if file.organization is not None:
        texts.append(writer.part(("organization",), writer.organization(file.organization)))
    return "".join(texts)


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
    registries:
      eu-west-1:
        policy_scope: V1
        policy:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Principal: "*", Action: "ecr:ReplicateImage", Resource: "*"}}]
"""
TRUST = f'{{Statement: {{Effect: Allow, Principal: {{AWS: "{ACCOUNT}"}}, Action: "sts:AssumeRole"}}}}'
ORGANIZATION = """\
organization:
  id: o-moorage000
  managementAccount: "111122223333"
  serviceControlPolicies:
    NoPush:
      Version: "2012-10-17"
      Statement: {Effect: Deny, Action: "ecr:PutImage", Resource: "*"}
  root:
    id: r-ab12
    accounts: [{id: "222233334444"}, {id: "111122223333"}]
    units:
      - id: ou-ab12-11111111
        serviceControlPolicies: [NoPush, FullAWSAccess]
"""


def test_a_whole_file() -> None:
    account = read(FILE).accounts[ACCOUNT]
    assert account.groups["builders"] == Group(attached=(f"arn:aws:iam::{ACCOUNT}:policy/pushes",))
    assert account.users == {"ann": User("/team/", ("builders",), tags={"cost": "42"}), "bob": User()}
    assert json.loads(account.policies["pushes"].document)["Version"] == "2012-10-17"
    assert account.repositories[Region("us-east-1"), RepositoryName("empty")] == Repository()
    assert account.registries.keys() == {Region("eu-west-1")}
    assert account.registries[Region("eu-west-1")].policy_scope == "V1"
    assert '"Principal" : "*"' in (account.repositories[Region("us-east-1"), RepositoryName("team/app")].policy or "")


def test_the_file_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "apply.md").read_text()
    file = read(page.partition("```yaml\n")[2].partition("```")[0])
    assert [section for section in SECTIONS if not getattr(file.accounts[ACCOUNT], section)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a: [", "line 2, column 1: did not find expected node content"),
        ("version: 2\naccounts: {}", "line 1, column 10, /version: this version of Moorage reads version 1"),
        ("account: {}", "line 1, column 1, /account: unknown key 'account'; did you mean 'accounts'?"),
        ("{}", "'accounts' is missing"),
        ("organization:", "/organization: Expected"),
        ("organization:\n  id: o-moorage000\n", "line 2, column 3, /organization: Object missing required field"),
        (ORGANIZATION.replace("[NoPush", "[NoPull"), "line 13, column 34, /organization/root/units/0/serviceControl"),
        (ORGANIZATION.replace("[NoPush", "[NoPull"), "there is no policy 'NoPull'"),
        (ORGANIZATION.replace("Effect: Deny", "Effect: No"), "line 7, column 27, /organization/serviceControlPolicies"),
        (ORGANIZATION.replace("    NoPush:\n", "    NoPull: '{'\n    NoPush:\n"), "line 5, column 13, /organization"),
        ("accounts: {x: {}}", "/accounts/x: an account is 12 digits"),
        (HEAD + "    users: {a: {}, A: {}}", "differ only in case"),
        (HEAD + "    users: {a: {}, a: {}}", f"line 3, column 20, /accounts/{ACCOUNT}/users/a: appears twice"),
        (HEAD + "    users: {a: {boundry: x}}", "did you mean 'boundary'?"),
        (HEAD + "    users: {'a b': {}}", "is not a valid name"),
        (HEAD + "    users: []", "must be a mapping"),
        (HEAD + "    users: {a: {groups: x}}", "must be a list"),
        (HEAD + "    users: {a: {path: x}}", "begins and ends with /"),
        (HEAD + "    users: {a: {path: [x]}}", "must be a string"),
        (HEAD + "    users: &u {}\n    groups: *u", "line 4: aliases"),
        ("accounts: {}\n---\naccounts: {}", "line 3: more than one document"),
        ("[" + "0," * NODES + "]", f"line 1: more than {NODES} keys and values"),
        (
            "? " + "k" * 1000 + "\n: 1",
            "line 1, column 3, /" + "k" * 64 + ": unknown key '" + "k" * 64 + "'; the known keys are",
        ),
        ("{[a]: 1}", "line 1, column 2, /: a key must be a string"),
        (HEAD + "    users: {a: {inline: {'a b': {}}}}", "/users/a/inline/a b: is not a valid name"),
        (HEAD + "    users: {a: {groups: [b, 'c d']}}", "/users/a/groups/1: is not a valid name"),
        (HEAD + "    users: {a: {boundary: a/b}}", "/users/a/boundary: is not a valid name"),
        (HEAD + f"    groups: {{{', '.join(f'g{n}: ' for n in range(301))}}}", "an account has at most 300 groups"),
        (HEAD + f"    users: {{{'a' * 65}: {{}}}}", "a name here can have at most 64 characters"),
        (HEAD + f"    roles: {{a: {{trust: {TRUST}, description: {'x' * 1001}}}}}", "more than 1000 characters"),
        (HEAD + "    users: {a: {tags: {'aws:x': y}}}", "/users/a/tags: tag keys starting with 'aws:' are reserved"),
        (HEAD + "    users: {a: {tags: {k: x, K: y}}}", "differ only in case"),
        (HEAD + "    users: {a: {tags: {k: 'x#y'}}}", "tags can contain letters, digits"),
        (HEAD + f"    users: {{a: {{tags: {{k: {'x' * 257}}}}}}}", "at most 256"),
        (HEAD + f"    users: {{a: {{tags: {{{', '.join(f't{n}: x' for n in range(51))}}}}}}}", "more than 50 tags"),
        (HEAD + "    roles: {a: {}}", "'trust' is missing"),
        (HEAD + "    policies: {a: {}}", "'document' is missing"),
        (HEAD + "    policies:\n      a:\n        document: {Version: 2012-10-17}", "line 5, column 19"),
        (HEAD + "    roles: {a: {trust: {}, max_session_seconds: 1}}", "from 3600 to 43200"),
        (HEAD + "    repositories: {us-east-1: {UP: {}}}", "/repositories/us-east-1/UP"),
        (HEAD + "    repositories: {us-east-1: {app: {mutability: NO}}}", "must be one of MUTABLE"),
        (HEAD + "    repositories: {us-east-1: {app: {scan_on_push: 3}}}", "true or false"),
        (HEAD + "    registries: {us-east-1: {policy_scope: V3}}", "must be one of V1, V2"),
        (HEAD + "    registries: {us east: {}}", "/registries/us east"),
        (HEAD + "    users: {a: {tags: {k: !!python/object:os.system x}}}", ""),
        ("accounts: " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("accounts: {} #" + "x" * BYTES, "longer than"),
        ("a: \x00", "does not allow"),
        (HEAD + "    policies: {a: {document: {Version: " + "9" * 5000 + "}}}", "is not a valid number"),
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
tag_words = st.text("abcXYZ0189 :_-é", max_size=12)
tags = st.dictionaries(st.text("abc:1", min_size=1, max_size=8), tag_words, max_size=3)
paths = st.sampled_from(["/", "/team/", "/a/b/"])
actions = st.lists(st.sampled_from(["ecr:*", "ecr:BatchGetImage", "ecr:Put*"]), min_size=1, max_size=2)
arns = st.lists(names.map("arn:aws:iam::aws:policy/{}".format), max_size=2, unique=True).map(sorted).map(tuple)


def policies(kind: str) -> st.SearchStrategy[str]:
    element: dict[str, object] = {} if kind == "IDENTITY" else {"Principal": {"AWS": ACCOUNT}}
    if kind in {"IDENTITY", "REGISTRY"}:
        element["Resource"] = "*"
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
    st.dictionaries(names, st.builds(DeclaredPolicy, policies("IDENTITY"), paths, words, tags), max_size=2),
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
    st.dictionaries(
        st.sampled_from([Region("us-east-1"), Region("eu-west-1")]),
        st.builds(Registry, st.sampled_from(["V1", "V2"]), policies("REGISTRY")),
        max_size=2,
    ),
)  # fmt: skip


def changed(before: Account, after: Account, *, prune: bool) -> list[Change]:
    return changes({ACCOUNT: before}, None, File({ACCOUNT: after}), prune=prune)


@settings(max_examples=25)
@given(accounts)
def test_what_is_written_is_read_back_as_it_was(account: Account) -> None:
    back = read(write(File({ACCOUNT: account}))).accounts[ACCOUNT]
    assert back == account
    assert changed(account, back, prune=True) == []


@settings(max_examples=25)
@given(accounts, accounts)
def test_changes_name_exactly_what_differs(before: Account, after: Account) -> None:
    found = changed(before, after, prune=True)
    assert (found == []) == (before == after)
    assert all(each.operation == "delete" or each.aspects or each.before is None for each in found)
    assert not [each for each in changed(before, after, prune=False) if each.operation == "delete"]


def trusting(*roles: str, account: str = ACCOUNT) -> Role:
    principal = {"AWS": [f"arn:aws:iam::{account}:role/{name}" for name in roles] or account}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return Role(json.dumps({"Version": "2012-10-17", "Statement": statement}))


def test_a_role_is_made_after_those_that_it_trusts() -> None:
    roles = {
        "a": trusting("c", "d"),
        "b": trusting("a", "b"),
        "c": trusting(),
        "d": trusting("c", "e"),
        "e": trusting("d"),
    }
    found = [each.name for each in changed(Account(), Account(roles=roles), prune=False)]
    assert found == ["c", "e", "d", "a", "b"]  # d and e trust each other: either would be too early


def test_a_long_chain_of_trust_is_made_from_its_end() -> None:
    names = [f"role-{number:04d}" for number in range(2000)]
    roles = {name: trusting(*after) for name, after in zip(names, [*([each] for each in names[1:]), []], strict=True)}
    found = [each.name for each in changed(Account(), Account(roles=roles), prune=False)]
    assert found == names[::-1]


def test_several_accounts_are_made_section_by_section() -> None:
    """So that one may name what another has."""
    first = Account(roles={"a": trusting("b", account=OTHER)}, users={"u": User()})
    second = Account(roles={"b": trusting()}, users={"v": User()})
    found = changes({ACCOUNT: Account(), OTHER: None}, None, File({ACCOUNT: first, OTHER: second}), prune=False)
    assert [(each.account, each.section, each.name) for each in found] == [
        (OTHER, "accounts", OTHER),
        (ACCOUNT, "users", "u"),
        (OTHER, "users", "v"),
        (OTHER, "roles", "b"),
        (ACCOUNT, "roles", "a"),
    ]


def test_what_is_as_it_is_by_default_is_no_aspect_of_what_is_made() -> None:
    repository = Repository(mutability="IMMUTABLE")
    (change,) = changed(Account(), Account(repositories={("us-east-1", "app"): repository}), prune=False)
    assert change.aspects == {"mutability": (None, "IMMUTABLE")}
    (change,) = changed(Account(), Account(users={"ann": User()}), prune=False)
    assert change.aspects == {}
    (change,) = changed(Account(users={"ann": User("/a/")}), Account(users={"ann": User()}), prune=False)
    assert change.aspects == {"path": ("/a/", "/")}


def test_a_registry_is_always_there() -> None:
    plain, guarded = Account(registries={"us-east-1": Registry()}), Account(registries={"us-east-1": Registry("V1")})
    assert changed(Account(), plain, prune=True) == []
    assert [each.operation for each in changed(guarded, plain, prune=False)] == ["update"]
    assert changed(guarded, Account(), prune=False) == []
    assert [each.operation for each in changed(guarded, Account(), prune=True)] == ["delete"]


def test_an_organization_is_told_by_its_meaning() -> None:
    file = read(ORGANIZATION)
    assert file.has_organization
    assert file.organization is not None
    assert file.organization.id == "o-moorage000"
    again = yaml.safe_load(ORGANIZATION)["organization"]
    unit = again["root"]["units"][0]
    again["root"]["accounts"].reverse()
    unit["serviceControlPolicies"].reverse()
    unit |= {"name": "", "accounts": [], "resourceControlPolicies": []}
    again["serviceControlPolicies"]["NoPush"] = json.dumps(again["serviceControlPolicies"]["NoPush"])
    assert read(json.dumps({"organization": again})) == file
    assert read(write(file)) == file
    unit["name"] = "Members"
    assert read(json.dumps({"organization": again})) != file


def test_the_organization_is_left_alone_unless_the_file_speaks_of_it() -> None:
    there = read(ORGANIZATION).organization
    for text, prune, operations in (
        ("accounts: {}", True, []),
        ("organization: {}", False, []),
        ("organization: {}", True, ["delete"]),
        (ORGANIZATION.replace("o-moorage000", "o-moorage111"), False, ["update"]),
    ):
        assert [each.operation for each in changes({}, there, read(text), prune=prune)] == operations
    assert [each.operation for each in changes({}, None, read(ORGANIZATION), prune=False)] == ["create"]
