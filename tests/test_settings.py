"""Settings: options and environment variables are checked alike, and what is not a setting is an error."""

from typing import Any

import pytest

from moorage.settings import SettingError, Settings


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("profile", "aws2", "'aws2' is not one of oci, aws"),
        ("uri_style", "x", "'x' is not one of request, aws, host, path"),
        ("log_format", "xml", "'xml' is not one of text, json"),
        (
            "public_url",
            "registry.example.com",
            "it must begin with https:// or http://, such as https://registry.example.com",
        ),
        ("public_url", "ftp://registry.example.com", "it must begin with https:// or http://"),
        ("public_url", "https://example.com/registry", "has a path"),
        ("host", "registry.example.com", "is not an IP address to listen on"),
        ("database_url", "mysql://localhost/x", "must begin with postgresql://"),
        ("default_region", "nowhere", "nowhere"),
    ],
)
def test_options_are_checked_as_variables_are(name: str, text: str, said: str) -> None:
    variable = f"MOORAGE_{name.upper()}"
    with pytest.raises(SettingError, match=rf"^{variable}: .*{said}"):
        Settings.from_environment({variable: text})
    with pytest.raises(SettingError, match=rf"^--{name.replace('_', '-')}: .*{said}"):
        Settings.from_environment({}, **{name: text})


@pytest.mark.parametrize(("port", "is_good"), [(0, True), (65535, True), (65536, False), (-1, False)])
def test_ports(port: int, is_good: bool) -> None:
    if is_good:
        assert Settings.from_environment({"MOORAGE_PORT": str(port)}).port == port
    else:
        for given in ({"environment": {"MOORAGE_PORT": str(port)}}, {"environment": {}, "port": port}):
            with pytest.raises(SettingError, match=f"port: {port} is not a port"):
                Settings.from_environment(**given)


def test_a_number_that_is_none() -> None:
    with pytest.raises(SettingError, match="MOORAGE_WORKERS: 'two' is not a whole number"):
        Settings.from_environment({"MOORAGE_WORKERS": "two"})


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("MOORAGE_WORKER", "MOORAGE_WORKER is not a setting. Did you mean MOORAGE_WORKERS?"),
        ("MOORAGE_PUBLICURL", "Did you mean MOORAGE_PUBLIC_URL?"),
        ("MOORAGE_port", "Did you mean MOORAGE_PORT?"),
        ("MOORAGE_CONFG", "Did you mean MOORAGE_CONFIG?"),
        ("MOORAGE_XYZZY_QUUX", "MOORAGE_XYZZY_QUUX is not a setting$"),
    ],
)
def test_a_variable_that_is_no_setting_is_an_error_with_the_nearest_name(variable: str, said: str) -> None:
    with pytest.raises(SettingError, match=said.replace("?", r"\?")):
        Settings.from_environment({variable: "1"})


def test_variables_of_other_parts_and_of_kubernetes_are_none_of_ours() -> None:
    """Kubernetes sets these in every pod of a namespace with a service called `moorage` and one called `moorage-pg`."""
    environment = {
        "MOORAGE_CONFIG": "/etc/moorage",
        "MOORAGE_SERVICE_HOST": "10.0.0.1",
        "MOORAGE_SERVICE_PORT": "4580",
        "MOORAGE_SERVICE_PORT_HTTP": "4580",
        "MOORAGE_PORT": "tcp://10.0.0.1:4580",
        "MOORAGE_PORT_4580_TCP": "tcp://10.0.0.1:4580",
        "MOORAGE_PORT_4580_TCP_ADDR": "10.0.0.1",
        "MOORAGE_PG_SERVICE_HOST": "10.0.0.2",
        "MOORAGE_PG_PORT": "tcp://10.0.0.2:5432",
        "MOORAGE_PG_PORT_5432_TCP_PROTO": "tcp",
    }
    assert Settings.from_environment(environment) == Settings()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://localhost:4580"),
        ({"host": "127.0.0.1", "port": 5000}, "http://localhost:5000"),
        ({"host": "::1"}, "http://[::1]:4580"),
        ({"host": "[::1]"}, "http://[::1]:4580"),
        ({"host": "0.0.0.0"}, "http://localhost:4580"),
        ({"host": "192.0.2.1"}, "http://192.0.2.1:4580"),
        ({"public_url": "https://registry.example.com/"}, "https://registry.example.com"),
    ],
)
def test_one_name_for_this_machine(given: dict[str, Any], url: str) -> None:
    assert Settings.from_environment({}, **given).url == url
