"""The commands of `moorage policy`."""

import typer

from moorage.cli.policy import generate, lint, try_policy

app = typer.Typer(help="Lint, try and generate policies.", no_args_is_help=True)
app.command("lint")(lint.lint)
app.command("try")(try_policy.try_)
app.command("generate")(generate.generate)
