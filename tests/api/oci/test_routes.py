"""Paths taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.api.oci.routes import Route, parse


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Route("ping")),
        ("/v2/", Route("ping")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/app/manifests/v1", Route("manifests", "app", "v1")),
        ("/v2/team/app/manifests/sha256:ab", Route("manifests", "team/app", "sha256:ab")),
        ("/v2/manifests/manifests/manifests", Route("manifests", "manifests", "manifests")),
        ("/v2/app/blobs/sha256:ab", Route("blobs", "app", "sha256:ab")),
        ("/v2/app/blobs/uploads", Route("uploads", "app")),
        ("/v2/app/blobs/uploads/", Route("uploads", "app", "")),
        ("/v2/app/blobs/uploads/1-2", Route("uploads", "app", "1-2")),
        ("/v2/a/blobs/blobs/uploads/1", Route("uploads", "a/blobs", "1")),
        ("/v2/app/tags/list", Route("tags", "app")),
        ("/v2/tags/tags/list", Route("tags", "tags")),
        ("/v2/app/referrers/sha256:ab", Route("referrers", "app", "sha256:ab")),
        ("/v2/app", None),
        ("/v2/app/tags/all", None),
        ("/v2/manifests/v1", None),
        ("/v2/app/manifests/", None),
        ("/v2//manifests/v1", None),
        ("/v1/app/manifests/v1", None),
    ],
)
def test_paths(path: str, route: Route | None) -> None:
    assert parse(path) == route


@given(st.text(alphabet="av2/._:-manifestsblobsuploads", max_size=40))
def test_a_route_is_what_the_path_says(rest: str) -> None:
    route = parse("/v2/" + rest)
    if route is not None and route.name:
        assert rest.startswith(route.name + "/")
        assert rest.endswith(route.argument)
