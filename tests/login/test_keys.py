"""Keys are found in the order that is promised, in the AWS CLI's files as it writes them."""

import sys
from pathlib import Path

import pytest

from moorage.login.errors import KeyNotFoundError
from moorage.login.keys import Key, Role, find_key, look_up, profile_key
from moorage.login.local import LocalServer, write_server

FROM_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "e"}


def write(home: dict[str, str], name: str, text: str) -> None:
    directory = Path(home["HOME"]) / ".aws"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    section = "[{}]\naws_access_key_id = {}\naws_secret_access_key = s%cret\n"
    (directory / "credentials").write_text(
        section.format("default", "AKIALOCAL") + section.format("111122223333", "AKIAOTHER")
    )
    return directory


def profiles(home: dict[str, str]) -> None:
    write(
        home,
        "credentials",
        "[default]\naws_access_key_id=AKIADEFAULT\naws_secret_access_key=d\n"
        "[team]\naws_access_key_id=AKIATEAM\naws_secret_access_key=t\naws_session_token=tok\n",
    )


def test_the_order(home: dict[str, str], data: Path, tmp_path: Path) -> None:
    profiles(home)
    nothing = tmp_path / "nothing"
    assert find_key(home | FROM_ENVIRONMENT, data, profile="team").key == Key("AKIATEAM", "t", "tok")
    assert find_key(home | FROM_ENVIRONMENT, data, account="111122223333").key.id == "AKIAOTHER"
    assert find_key(home | FROM_ENVIRONMENT, nothing, account="444455556666").key == Key("444455556666", "test")
    assert find_key(home | FROM_ENVIRONMENT | {"AWS_PROFILE": "team"}, data).key.id == "AKIAENVIRONMENT"
    assert find_key(home | {"AWS_PROFILE": "team"}, data).key.id == "AKIATEAM"
    assert find_key(home, data).key == Key("AKIALOCAL", "s%cret")
    assert find_key(home, nothing).key.id == "AKIADEFAULT"
    (Path(home["HOME"]) / ".aws" / "credentials").unlink()
    assert find_key(home, nothing).key == Key("test", "test")


def test_what_was_found_is_found_again(home: dict[str, str], data: Path) -> None:
    profiles(home)
    for found in (
        find_key(home, data, profile="team"),
        find_key(home, data, account="111122223333"),
        find_key(home, data / "nothing", account="444455556666"),
        find_key(home, data),
    ):
        assert found.key.secret not in str(found.reference).replace("test", "") or found.key.secret == "t"
        assert look_up(home, found.reference).key == found.key
    found = find_key(home | FROM_ENVIRONMENT, data)
    assert look_up(home | FROM_ENVIRONMENT, found.reference).key == found.key
    with pytest.raises(KeyNotFoundError, match="AWS_ACCESS_KEY_ID"):
        look_up(home, found.reference)


def test_a_profile_of_the_config_file(home: dict[str, str]) -> None:
    write(
        home,
        "config",
        "[profile site]\naws_access_key_id = AKIASITE\naws_secret_access_key = s\nregion = eu-west-1\n"
        "services = local\n[services local]\necr =\n  endpoint_url = http://localhost:4580\n",
    )
    found = profile_key(home, "site")
    assert (found.key.id, found.region, found.endpoint) == ("AKIASITE", "eu-west-1", "http://localhost:4580")


def test_a_profile_that_asks_a_program(home: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        'print(\'{"Version": 1, "AccessKeyId": "ASIAX", "SecretAccessKey": "s", "SessionToken": "t"}\')\n'
    )
    write(home, "config", f"[profile asks]\ncredential_process = {sys.executable} {program}\n")
    assert profile_key(home, "asks").key == Key("ASIAX", "s", "t")
    program.write_text("raise SystemExit(3)\n")
    with pytest.raises(KeyNotFoundError, match="credential_process of profile asks"):
        profile_key(home, "asks")


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ("", "aws configure --profile site"),
        ("[profile site]\nsso_session = x\n", "export-credentials --profile site"),
        ("[profile site]\nrole_arn = arn:aws:iam::1:role/r\nmfa_serial = x\n", "export-credentials --profile site"),
        (
            "[profile site]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = x\n",
            '"x" referenced in the profile "site"',
        ),
        ("[profile site]\nrole_arn = arn:aws:iam::1:role/r\n", "missing: source_profile"),
        (
            "[profile site]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = b\n"
            "[profile b]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = site\n",
            "Infinite loop in credential configuration detected",
        ),
        ("[profile site]\naws_access_key_id = AKIAX\n", "in profile site, missing: aws_secret_access_key"),
        ("no section\n", "cannot be read"),
    ],
)
def test_a_profile_without_a_key_says_what_to_type(home: dict[str, str], config: str, advice: str) -> None:
    write(home, "config", config)
    with pytest.raises(KeyNotFoundError, match=advice):
        profile_key(home, "site")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAX"}, "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": "s"}, "Partial credentials found in env, missing: AWS_ACCESS_KEY_ID"),
        (
            {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": ""},
            "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, "Partial credentials found in env, missing: AWS_ROLE_ARN"),
        ({"AWS_PROFILE": "nosuch"}, r"The config profile \(nosuch\) could not be found"),
        (FROM_ENVIRONMENT | {"AWS_PROFILE": "nosuch"}, r"The config profile \(nosuch\) could not be found"),
    ],
)
def test_what_is_named_and_not_there_is_never_replaced_by_another_key(
    home: dict[str, str], data: Path, environment: dict[str, str], said: str
) -> None:
    profiles(home)
    with pytest.raises(KeyNotFoundError, match=said):
        find_key(home | environment, data)


def test_a_file_that_cannot_be_read_is_not_skipped(home: dict[str, str], data: Path) -> None:
    (data / "credentials").unlink()
    (data / "credentials").mkdir()
    with pytest.raises(KeyNotFoundError, match="credentials cannot be read: Is a directory"):
        find_key(home, data)


def test_an_account_that_init_did_not_make_has_no_open_key(data: Path, home: dict[str, str]) -> None:
    with pytest.raises(KeyNotFoundError, match="it has those of 111122223333"):
        find_key(home, data, account="444455556666")


def test_where_dev_mode_keeps_its_data_its_open_key_goes_before_the_default_profile(
    home: dict[str, str], tmp_path: Path
) -> None:
    profiles(home)
    write_server(tmp_path, LocalServer("dev", "http://localhost:4580", 4580))
    assert find_key(home, tmp_path).key == Key("test", "test")


def test_a_default_profile_with_a_region_alone_holds_no_key(home: dict[str, str], tmp_path: Path) -> None:
    write(home, "config", "[default]\nregion = eu-west-1\n")
    assert find_key(home, tmp_path).key == Key("test", "test")


def test_roles_are_assumed_by_what_the_profile_names(home: dict[str, str], tmp_path: Path) -> None:
    profiles(home)
    write(
        home,
        "config",
        "[profile one]\nrole_arn = arn:aws:iam::111122223333:role/one\nsource_profile = team\nexternal_id = x\n"
        "[profile two]\nrole_arn = arn:aws:iam::111122223333:role/two\nsource_profile = one\nregion = eu-west-1\n"
        "[profile web]\nrole_arn = arn:aws:iam::111122223333:role/web\nweb_identity_token_file = /token\n"
        "[profile env]\nrole_arn = arn:aws:iam::111122223333:role/env\ncredential_source = Environment\n",
    )
    one, two = Role("arn:aws:iam::111122223333:role/one", external_id="x"), Role("arn:aws:iam::111122223333:role/two")
    found = find_key(home, tmp_path, profile="two")
    assert (found.key.id, found.roles, found.region) == ("AKIATEAM", (one, two), "eu-west-1")
    assert find_key(home, tmp_path, profile="web").roles[0].token_file == "/token"
    assert find_key(home | FROM_ENVIRONMENT, tmp_path, profile="env").key.id == "AKIAENVIRONMENT"
    web = home | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/pod"}
    assert find_key(web, tmp_path).roles == (Role("arn:aws:iam::111122223333:role/pod", None, "/t"),)
    assert find_key(web | {"AWS_PROFILE": "team"}, tmp_path).roles[0].token_file == "/t"
    assert find_key(web | {"AWS_PROFILE": "one"}, tmp_path).roles == (one,)
    assert find_key(web | FROM_ENVIRONMENT, tmp_path).key.id == "AKIAENVIRONMENT"
    assert look_up(web, find_key(web, tmp_path).reference).roles[0].token_file == "/t"
