"""What `moorage init` leaves in the data directory: the default account and region, and the first key."""

import configparser
import dataclasses
import io
import json
from pathlib import Path

from moorage.login import keys
from moorage.login.files import write_private
from moorage.login.keys import Key
from moorage.names import AccountId, Region
from moorage.settings import Settings

_FILE = "registry.json"
_CREDENTIALS = "credentials"


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """The default account and region of a data directory."""

    account: AccountId
    region: Region

    @classmethod
    def read(cls, data: Path) -> "Home | None":
        """What `data` was set up with; None when `moorage init` never ran there."""
        try:
            written = json.loads((data / _FILE).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(AccountId(written["account"]), Region(written["region"]))

    def write(self, data: Path) -> None:
        """Keep it in `data`."""
        write_private(data / _FILE, json.dumps(dataclasses.asdict(self)) + "\n")

    def over(self, settings: Settings) -> Settings:
        """`settings` with this account and region as the default ones."""
        return dataclasses.replace(settings, default_account=self.account, default_region=self.region)


def write_key(data: Path, account: str, key: Key) -> Path:
    """Add `key` to the data directory's credentials file (AWS's format, mode 0600) under the account's profile."""
    path = data / _CREDENTIALS
    parser = configparser.RawConfigParser()
    parser.read(path)
    for section in (account, *(() if parser.has_section("default") else ("default",))):
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, "aws_access_key_id", key.id)
        parser.set(section, "aws_secret_access_key", key.secret)
    text = io.StringIO()
    parser.write(text)
    write_private(path, text.getvalue())
    return path


def read_key(data: Path, account: str | None) -> Key | None:
    """The key that `init` made for `account` (or its first one); None when there is none."""
    return keys.read_key(data / _CREDENTIALS, account or "default")
