"""`moorage policy`: what there is to do with a policy's text."""

import typer

from moorage.cli.policy import generate as policy_generate
from moorage.cli.policy import lint as policy_lint
from moorage.cli.policy import try_policy as policy_try

app = typer.Typer(help="Lint policies, and find out what they would change.", no_args_is_help=True)
app.command("lint")(policy_lint.lint)
app.command("try")(policy_try.try_)
app.command("generate")(policy_generate.generate)
