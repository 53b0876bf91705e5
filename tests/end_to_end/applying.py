"""The command line with a declarative file beside it."""

import os
from pathlib import Path

from tests.running import MOORAGE, RunningServer, run


class Home:
    """A directory with a file in it, and the account that it is about."""

    def __init__(self, server: RunningServer, directory: Path, account: str) -> None:
        self.server = server
        self.directory, self.account = directory, account
        self.key = (account, "test")
        self.errors = ""
        """What the last command said on stderr."""

    def __call__(self, *arguments: str, status: int = 0, answers: str = "") -> str:
        environment = os.environ | {"AWS_ENDPOINT_URL": self.server.url, "COLUMNS": "150"}
        environment |= {"AWS_ACCESS_KEY_ID": self.key[0], "AWS_SECRET_ACCESS_KEY": self.key[1]}
        done = run([MOORAGE, *arguments], check=False, env=environment, cwd=self.directory, input=answers)
        assert done.returncode == status, done.stdout + done.stderr
        self.errors = done.stderr
        return done.stdout + (done.stderr if status else "")

    def write(self, body: str) -> None:
        """The file says `body` of the account."""
        self.put(f'version: 1\naccounts:\n  "{self.account}":\n{body}')

    def put(self, text: str) -> None:
        (self.directory / "file.yaml").write_text(text.replace("ACCOUNT", self.account))
