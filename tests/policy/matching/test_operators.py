"""Values of operators: networks and addresses."""

import pytest

from moorage.policy.matching.operators import is_address, is_exact_network


@pytest.mark.parametrize(
    ("text", "exact", "address"),
    [
        ("10.0.0.1", True, True),
        ("10.0.0.0/8", True, False),
        ("10.0.0.1/8", False, False),
        ("10.0.0.1/32", True, False),
        ("0.0.0.0/0", True, False),
        ("2001:db8::/32", True, False),
        ("2001:db8::1/32", False, False),
        ("2001:db8::1", True, True),
        ("10.0.0.0/255.0.0.0", False, False),
        ("10.0.0.0/8/8", False, False),
        ("10.0.0", False, False),
        ("", False, False),
        ("1" * 100, False, False),
    ],
)
def test_networks_and_addresses(text: str, exact: bool, address: bool) -> None:
    assert is_exact_network(text) is exact
    assert is_address(text) is address
