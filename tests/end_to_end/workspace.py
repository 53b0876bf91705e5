"""The command line with a declarative file beside it."""

from pathlib import Path

from tests.support.command_line import run_moorage
from tests.support.server_process import ServerProcess


class Workspace:
    """A directory with a file in it, and the account that it is about."""

    def __init__(self, server: ServerProcess, directory: Path, account: str) -> None:
        self.server = server
        self.directory, self.account = directory, account
        self.key = (account, "test")
        self.errors = ""
        """What the last command said on stderr."""

    def __call__(self, *arguments: str, status: int = 0, answers: str = "") -> str:
        environment = self.server.environment(*self.key) | {"COLUMNS": "150"}
        done = run_moorage(*arguments, check=False, env=environment, cwd=self.directory, input=answers)
        assert done.returncode == status, done.stdout + done.stderr
        self.errors = done.stderr
        return done.stdout + (done.stderr if status else "")

    def write(self, body: str) -> None:
        """The file says `body` of the account."""
        self.put(f'version: 1\naccounts:\n  "{self.account}":\n{body}')

    def text(self) -> str:
        """What the file says."""
        return (self.directory / "file.yaml").read_text()

    def put(self, text: str) -> None:
        (self.directory / "file.yaml").write_text(text.replace("ACCOUNT", self.account))
