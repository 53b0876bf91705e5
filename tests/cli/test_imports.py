"""What the command line imports: commands that talk to a server must start quickly."""

import json
import subprocess
import sys


def test_the_command_line_loads_neither_the_database_nor_the_server() -> None:
    code = "import json, sys, moorage.cli; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"sqlalchemy", "alembic", "granian", "uvloop", "starlette", "asyncpg"} & set(loaded)
