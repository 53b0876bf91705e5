"""Terraform with the AWS provider creates, changes, re-reads and destroys what Moorage stores."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_process import Error, ServerProcess, run

ACCOUNT = "333300006666"
_PROVIDER = "registry.terraform.io/hashicorp/aws"
_MIRRORS = ("~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
"""Directories where Terraform finds providers without a network. TF_PLUGIN_DIR names another one for these tests."""

CONFIGURATION = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "mutability" { default = "MUTABLE" }

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "ACCOUNT"
  secret_key                  = "test"
  skip_metadata_api_check     = true
  endpoints {
    ecr = "URL"
    iam = "URL"
    sts = "URL"
  }
}

resource "aws_iam_role" "deployer" {
  name = "deployer"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = "ACCOUNT" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_policy" "pull" {
  name = "pull"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["ecr:BatchGetImage"], Resource = "*" }]
  })
}

resource "aws_iam_role_policy_attachment" "pull" {
  role       = aws_iam_role.deployer.name
  policy_arn = aws_iam_policy.pull.arn
}

resource "aws_ecr_repository" "app" {
  name                 = "terraform/app"
  image_tag_mutability = var.mutability
  force_delete         = true
  tags                 = { team = "base" }
}

resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Deployer"
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.deployer.arn }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

data "aws_caller_identity" "me" {}

output "url" { value = aws_ecr_repository.app.repository_url }
output "account" { value = data.aws_caller_identity.me.account_id }
"""


class Terraform:
    """Terraform in a directory with the configuration."""

    def __init__(self, server: ServerProcess, directory: Path, plugins: Path) -> None:
        self.directory = directory
        text = CONFIGURATION.replace("URL", server.url).replace("ACCOUNT", ACCOUNT)
        (directory / "main.tf").write_text(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        self.environment = kept | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "HOME": str(directory)}
        self("init", "-input=false", f"-plugin-dir={plugins}")

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run it and return its output."""
        done = run(
            ["terraform", *arguments, "-no-color"],
            check=False,
            cwd=self.directory,
            env=self.environment,
            timeout=300,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    @property
    def state(self) -> Any:
        """What Terraform keeps of the resources and outputs."""
        return json.loads((self.directory / "terraform.tfstate").read_text())

    def apply(self, *options: str) -> str:
        return self("apply", "-auto-approve", "-input=false", *options)


def _plugins() -> Path:
    """Return the directory that has the AWS provider, or skip the test: the provider has 700 MB, so CI runs without."""
    if shutil.which("terraform") is not None:
        named = os.environ.get("TF_PLUGIN_DIR")
        for each in (*([named] if named else []), *_MIRRORS):
            directory = Path(each).expanduser()
            if (directory / _PROVIDER).is_dir():
                return directory
    pytest.skip("terraform or its AWS provider is not installed")


@pytest.fixture
def terraform(server: ServerProcess, tmp_path: Path) -> Iterator[Terraform]:
    made = Terraform(server, tmp_path, _plugins())
    yield made
    if made.state["resources"]:
        made("destroy", "-auto-approve", "-input=false")


def test_from_nothing_to_resources_and_back(server: ServerProcess, terraform: Terraform) -> None:
    assert "Apply complete! Resources: 5 added, 0 changed, 0 destroyed." in terraform.apply()
    outputs = terraform.state["outputs"]
    assert outputs["account"]["value"] == ACCOUNT
    assert outputs["url"]["value"].endswith("/terraform/app")
    terraform("plan", "-detailed-exitcode", "-input=false")  # status 2 says that something differs
    ecr = server.client("ecr", ACCOUNT)
    policy = json.loads(ecr.get_repository_policy(repositoryName="terraform/app")["policyText"])
    assert policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:role/deployer"}
    changed = terraform.apply("-var=mutability=IMMUTABLE")
    assert "Apply complete! Resources: 0 added, 1 changed, 0 destroyed." in changed
    [shown] = ecr.describe_repositories(repositoryNames=["terraform/app"])["repositories"]
    assert shown["imageTagMutability"] == "IMMUTABLE"
    assert "Resources: 5 destroyed" in terraform("destroy", "-auto-approve", "-input=false")
    with pytest.raises(Error, match="RepositoryNotFoundException"):
        ecr.describe_repositories(repositoryNames=["terraform/app"])
    with pytest.raises(Error, match="NoSuchEntity"):
        server.client("iam", ACCOUNT).get_role(RoleName="deployer")
