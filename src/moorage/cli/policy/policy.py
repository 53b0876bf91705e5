"""`moorage policy`: what there is to do with a policy's text."""

import typer

from moorage.cli.policy import generate, lint, try_policy

app = typer.Typer(help="Lint policies, and find out what they would change.", no_args_is_help=True)
app.command("lint")(lint.lint)
app.command("try")(try_policy.try_)
app.command("generate")(generate.generate)
