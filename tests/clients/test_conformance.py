"""The conformance suite of the OCI distribution specification, from its main branch, in its widest configuration."""

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.clients.conftest import need, password
from tests.support.server_process import ServerProcess, run

_EXTENDED = {
    "OCI_VERSION": "dev",
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_DATA_SPARSE": "false",  # manifests that name what is not there; the specification does not ask for them
}


@pytest.mark.parametrize("settings", [{"OCI_VERSION": "1.1"}, _EXTENDED], ids=["1.1", "extended"])
def test_the_conformance_suite_passes_whole(server: ServerProcess, settings: dict[str, str], tmp_path: Path) -> None:
    need("oci-conformance")
    environment = {
        **os.environ,
        "OCI_REGISTRY": server.registry,
        "OCI_TLS": "disabled",
        "OCI_USERNAME": "AWS",
        "OCI_PASSWORD": password(server),
        "OCI_RESULTS_DIR": str(tmp_path),
        **settings,
    }
    ended = run(["oci-conformance"], check=False, env=environment, cwd=tmp_path, timeout=300)
    cases = list(ElementTree.parse(tmp_path / "junit.xml").iter("testcase"))
    assert [case.get("name") for case in cases if case.get("status") in {"failure", "error"}] == []
    assert ended.returncode == 0
    assert len(cases) > 500
    if settings is _EXTENDED:
        passed = {case.get("name") for case in cases if case.get("status") == "passed"}
        assert "OCI Conformance Test/tag-param-sha512/push/manifest-by-digest" in passed
