"""Bad JSON, wrong types and violated constraints are named as AWS names them."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.api.aws.json11 import decode
from moorage.api.ecr import shapes
from moorage.api.ecr.wording import wording
from moorage.errors import InvalidParameter, MoorageError, Serialization, ValidationFailed


def refusal(request: type[Any], body: Any, *, joins_all: bool = False) -> MoorageError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MoorageError) as caught:
        decode(request, raw, joins_all=joins_all, wording=wording)
    return caught.value


@pytest.mark.parametrize(
    ("request_type", "body", "path", "constraint"),
    [
        (
            shapes.DeleteRepositoryRequest,
            {"repositoryName": "UPPER"},
            "repositoryName",
            r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'",
        ),
        (shapes.DeleteRepositoryRequest, {}, "repositoryName", "must not be null"),
        (shapes.DeleteRepositoryRequest, {"repositoryName": None}, "repositoryName", "must not be null"),
        (
            shapes.DeleteRepositoryRequest,
            {"repositoryName": "a"},
            "repositoryName",
            "must have length greater than or equal to 2",
        ),
        (
            shapes.DeleteRepositoryRequest,
            {"repositoryName": "a" * 257},
            "repositoryName",
            "must have length less than or equal to 256",
        ),
        (
            shapes.CreateRepositoryRequest,
            {"repositoryName": "aa", "imageTagMutability": "SOMETIMES"},
            "imageTagMutability",
            "Member must satisfy enum value set: "
            "[IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
        ),
        (
            shapes.PutImageTagMutabilityRequest,
            {"repositoryName": "aa"},
            "imageTagMutability",
            "Member must not be null",
        ),
        (
            shapes.BatchGetImageRequest,
            {"repositoryName": "aa", "imageIds": [{"imageTag": "a"}] * 101},
            "imageIds",
            "Member must have length less than or equal to 100",
        ),
        (
            shapes.CreateRepositoryRequest,
            {"repositoryName": "aa", "tags": [{"Key": "a", "Value": ""}, {"Value": "b"}]},
            "tags.2.member.key",
            "Member must not be null",
        ),
        (
            shapes.ListImagesRequest,
            {"repositoryName": "aa", "maxResults": 1001},
            "maxResults",
            "Member must have value less than or equal to 1000",
        ),
        (
            shapes.SetRepositoryPolicyRequest,
            {"repositoryName": "aa", "policyText": "x" * 10241},
            "policyText",
            "Member must have length less than or equal to 10240",
        ),
        (
            shapes.DeleteRepositoryRequest,
            {"repositoryName": "aa\n"},
            "repositoryName",
            r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'",
        ),
        # Several at once: the first in the order of the model.
        (
            shapes.BatchGetImageRequest,
            {"imageIds": [], "repositoryName": "A/", "registryId": "1"},
            "registryId",
            "Member must satisfy regular expression pattern: [0-9]{12}",
        ),
    ],
)
def test_the_first_violation_is_named(request_type: type[Any], body: Any, path: str, constraint: str) -> None:
    error = refusal(request_type, body)
    assert isinstance(error, InvalidParameter)
    assert error.message == f"Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'"


def test_the_newer_family_joins_all_violations() -> None:
    error = refusal(shapes.PutAccountSettingRequest, {"name": ""}, joins_all=True)
    assert isinstance(error, ValidationFailed)
    assert error.message == (
        "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length "
        "greater than or equal to 1; Value null at 'value' failed to satisfy constraint: Member must not be null"
    )


def test_one_violation_of_the_newer_family() -> None:
    error = refusal(shapes.GetAccountSettingRequest, {}, joins_all=True)
    assert error.message == (
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"repositoryName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"repositoryName": True}, "TRUE_VALUE can not be converted to a String"),
        ({"repositoryName": {}}, "Start of structure or map found where not expected."),
        ({"repositoryName": []}, "Start of list found where not expected."),
        ({"repositoryName": "aa", "imageIds": "x"}, "STRING_VALUE can not be converted to a List"),
        ({"repositoryName": "aa", "imageIds": [1]}, "NUMBER_VALUE can not be converted to a Structure"),
        ({"repositoryName": "aa", "imageIds": [None]}, "Null value found where not expected."),
        ([], "Start of list found where not expected."),
        # A wrong type comes before a violated constraint.
        ({"repositoryName": "A", "imageIds": 1}, "NUMBER_VALUE can not be converted to a List"),
    ],
)
def test_wrong_types(body: Any, message: str) -> None:
    error = refusal(shapes.BatchGetImageRequest, body)
    assert isinstance(error, Serialization)
    assert error.message == message


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b'{"a":"\xff"}', b'{"x":' + b"[" * 50_000, b'{"repositoryName":"a']
)
def test_malformed_json(body: bytes) -> None:
    error = refusal(shapes.BatchGetImageRequest, body)
    assert isinstance(error, Serialization)
    assert error.message.startswith("Unexpected token")


def test_blobs_must_be_base64() -> None:
    body = {
        "repositoryName": "aa",
        "uploadId": "00000000-0000-0000-0000-000000000000",
        "partFirstByte": 0,
        "partLastByte": 1,
        "layerPartBlob": "%%",
    }
    assert isinstance(refusal(shapes.UploadLayerPartRequest, body), Serialization)


def test_unknown_members_and_nulls_are_absent() -> None:
    request = decode(shapes.DeleteRepositoryRequest, b'{"repositoryName":"aa","force":null,"colour":"red"}')
    assert request == shapes.DeleteRepositoryRequest(repository_name="aa")


def test_an_empty_body_is_an_empty_object() -> None:
    assert decode(shapes.DescribeRegistryRequest, b"") == shapes.DescribeRegistryRequest()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["repositoryName", "imageIds", "imageTag", "filter", "maxResults"]), inner)
    ),
    max_leaves=8,
)


@given(_json, st.sampled_from(sorted(shapes.OPERATIONS)))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_decoded_or_refused_as_aws_would(value: Any, operation: str) -> None:
    request = shapes.OPERATIONS[operation].request
    with contextlib.suppress(Serialization, InvalidParameter):
        assert isinstance(decode(request, msgspec.json.encode(value)), request)
