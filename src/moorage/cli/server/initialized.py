"""What `moorage init` stores in the data directory: the default account and region, and the first key."""

import configparser
import dataclasses
import io
import json
from pathlib import Path

from moorage.data_directory import UnusableDataError
from moorage.login import keys
from moorage.login.files import write_private
from moorage.login.keys import Key
from moorage.names import AccountId, Region, account_id, region
from moorage.settings import Settings

_FILE = "registry.json"
CREDENTIALS = "credentials"


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """The default account and region of a data directory, and its database if it is elsewhere."""

    account: AccountId
    region: Region
    database_url: str | None = None

    @classmethod
    def read(cls, data: Path) -> "Home | None":
        """Return what `data` was set up with; None if `moorage init` never ran there. Raise UnusableDataError."""
        file = data / _FILE
        try:
            written = json.loads(file.read_text())
            url = written.get("database_url")
            return cls(account_id(written["account"]), region(written["region"]), None if url is None else str(url))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnusableDataError(f"{file} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnusableDataError(
                f"{file} is damaged. Restore it from a backup, or write it again: "
                '{"account": "<12 digits of the default account>", "region": "<its region>"}'
            ) from error

    def write(self, data: Path) -> None:
        """Write it to `data`."""
        write_private(data / _FILE, json.dumps(dataclasses.asdict(self)) + "\n")

    def over(self, settings: Settings) -> Settings:
        """Return `settings` with this default account and region, and with this database unless they name another."""
        url = settings.database_url or self.database_url
        return dataclasses.replace(settings, default_account=self.account, default_region=self.region, database_url=url)


def settings_here(settings: Settings) -> Settings:
    """Return the settings of a command that opens the database itself, with what `moorage init` stored."""
    home = Home.read(settings.data)
    return settings if home is None else home.over(settings)


def write_key(data: Path, account: str, key: Key) -> Path:
    """Add `key` to the credentials file of the data directory (AWS's format, mode 0600), as the account's profile."""
    path = data / CREDENTIALS
    parser = configparser.RawConfigParser()
    parser.read(path)
    for section in (account, *(() if parser.has_section("default") else ("default",))):
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, "aws_access_key_id", key.id)
        parser.set(section, "aws_secret_access_key", key.secret)
    _write(path, parser)
    return path


def _write(path: Path, parser: configparser.RawConfigParser) -> None:
    text = io.StringIO()
    parser.write(text)
    write_private(path, text.getvalue())


def forget_key(data: Path, account: str, key: Key) -> None:
    """Remove `key` from the credentials file: the account does not have it."""
    path = data / CREDENTIALS
    parser = configparser.RawConfigParser()
    parser.read(path)
    for section in (account, "default"):
        if parser.has_section(section) and parser.get(section, "aws_access_key_id") == key.id:
            parser.remove_section(section)
    _write(path, parser)


def read_key(data: Path, account: str | None) -> Key | None:
    """Return the key that `init` created for `account` (or its first one); None if there is none."""
    return keys.read_key(data / CREDENTIALS, account or "default")
