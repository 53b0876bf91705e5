"""A value too long for the audit record, which a policy reads: the decision is shown as it was made."""

import json
from pathlib import Path

from moorage.settings import Settings
from tests.attacks.test_secrets_in_the_record import ask, signed
from tests.support.in_process import in_process

DENY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "ecr:BatchGetImage",
        "Condition": {"StringLike": {"aws:UserAgent": "*the end"}},
    },
}


async def test_the_explanation_keeps_the_verdict_and_says_what_was_cut(tmp_path: Path) -> None:
    async with in_process(Settings(mode="dev", data=tmp_path / "data")) as server:
        await server.ok("CreateRepository", repositoryName="team/app")
        await server.ok("SetRepositoryPolicy", repositoryName="team/app", policyText=json.dumps(DENY))
        agent = {"user-agent": "x" * 5000 + "the end", "authorization": "Basic dGVzdDp0ZXN0"}
        refused = await ask(server, "GET", "/v2/team/app/manifests/v1", b"", "", **agent)
        assert refused.status == 403
        decision = refused.headers["x-moorage-decision-id"]
        told = (await ask(server, "GET", f"/_moorage/explain/{decision}", b"", "", **signed("moorage"))).json
        assert (told["decision"], told["cut"], told["suggestions"]) == ("DENY", ["aws:useragent"], [])
        short = await ask(server, "GET", "/v2/team/app/manifests/v1", b"", "", **{**agent, "user-agent": "the end"})
        decision = short.headers["x-moorage-decision-id"]
        told = (await ask(server, "GET", f"/_moorage/explain/{decision}", b"", "", **signed("moorage"))).json
        assert "cut" not in told
        assert told["suggestions"]
