"""Keys are found in the order that is promised, in the AWS CLI's files as it writes them."""

import sys
from pathlib import Path

import pytest

from moorage.login.errors import KeyNotFoundError
from moorage.login.keys import Key, find_key, look_up, profile_key

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
    assert find_key(home | FROM_ENVIRONMENT, data, account="444455556666").key == Key("444455556666", "test")
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
        find_key(home, data, account="444455556666"),
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
        ("[profile site]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = x\n", "export-credentials --profile site"),
        ("no section\n", "cannot be read"),
    ],
)
def test_a_profile_without_a_key_says_what_to_type(home: dict[str, str], config: str, advice: str) -> None:
    write(home, "config", config)
    with pytest.raises(KeyNotFoundError, match=advice):
        profile_key(home, "site")
