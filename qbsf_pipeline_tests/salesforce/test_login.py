"""Both OAuth flows, against the sandbox's token endpoint and against scripted ones."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceUnavailable
from qbsf_pipeline.salesforce.login import audience, instance_url, token_name
from qbsf_pipeline.settings import Environment
from qbsf_pipeline_tests.salesforce.conftest import Door, SandboxOrg, door_to, environment_for
from qbsf_pipeline_tests.salesforce.scripted import Said, ScriptedSalesforce


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_client_credentials_reach_the_sandbox(org: SandboxOrg) -> None:
    door = org.door()
    assert door.client.organization_id.startswith("00D")
    assert door.calls("login") == 1
    assert not [call for call in door.meter.totals() if call.kind == "login" and call.metered]


def test_a_token_is_kept_for_the_next_process(org: SandboxOrg) -> None:
    first = org.door()
    first.client.query("SELECT Id FROM Organization")
    second = door_to(environment_for(org.url), first.tokens)
    second.client.query("SELECT Id FROM Organization")
    assert second.calls("login") == 0


def test_a_signed_assertion_carries_numeric_times_and_the_right_audience(
    service: ScriptedSalesforce, tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(_pem(key))
    environment = environment_for(service.url, salesforce_username="sync@example.test", salesforce_private_key_file=file)
    service.says(Said(body={}))
    door_to(environment).client.rest("limits")
    form = dict(pair.split("=", 1) for pair in service.asked[0].body.decode().split("&"))
    claims = jwt.decode(form["assertion"], key.public_key(), algorithms=["RS256"], audience="https://login.salesforce.com")
    assert claims["iss"] == "qbsf-sandbox-client"
    assert claims["sub"] == "sync@example.test"
    assert isinstance(claims["exp"], int)
    assert "client_secret" not in form
    assert "authorization" not in service.asked[0].headers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://ACME--UAT.SANDBOX.MY.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.scratch.my.salesforce.com", "https://test.salesforce.com"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "https://login.salesforce.com"),
        ("https://sandbox.my.salesforce.com", "https://login.salesforce.com"),
    ],
)
def test_the_audience_follows_the_kind_of_org(url: str, expected: str) -> None:
    assert audience(url) == expected


@pytest.mark.parametrize(
    ("error", "description", "said"),
    [
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorized"),
        ("invalid_grant", "audience is invalid", "SALESFORCE_LOGIN_URL"),
        ("invalid_grant", "request not supported on this domain", "My Domain"),
        ("invalid_grant", "no client credentials user enabled", "runs as"),
        ("invalid_grant", "expired access/refresh token", "approve"),
        ("invalid_grant", "user is inactive", "activate"),
        ("invalid_grant", "ip restricted", "address"),
        ("invalid_grant", "authentication failure", "login history"),
        ("invalid_client_id", "client identifier invalid", "SALESFORCE_CLIENT_ID"),
        ("invalid_client", "invalid client credentials", "SALESFORCE_CLIENT_SECRET"),
        ("app_not_found", "External client app is not installed in this org", "install"),
        ("unsupported_grant_type", "grant type not supported", "OAuth flow"),
        ("something_new", "", "something_new"),
    ],
)
def test_a_refused_login_says_what_to_change(
    service: ScriptedSalesforce, door: Door, error: str, description: str, said: str
) -> None:
    service.login = Said(400, {"error": error, "error_description": description})
    with pytest.raises(AccessRefused, match=said):
        door.client.rest("limits")
    assert service.logins == 1


def test_a_login_is_repeated_while_the_service_is_down(service: ScriptedSalesforce, door: Door) -> None:
    answers = iter([Said(cut="reset"), Said(503, "<html>Maintenance</html>")])
    token = {"access_token": "token", "instance_url": service.url}
    service.login = lambda _: next(answers, Said(body=token))
    service.says(Said(body={"ok": True}))
    assert door.client.rest("limits") == {"ok": True}
    assert service.logins == 3
    assert len(door.waits) == 2


def test_a_login_gives_up_in_the_end(service: ScriptedSalesforce, door: Door) -> None:
    service.login = Said(503, "<html>Maintenance</html>")
    with pytest.raises(ServiceUnavailable):
        door.client.rest("limits")
    assert service.logins == 5


@pytest.mark.parametrize("body", [{}, "<html>Welcome</html>", [], {"access_token": ""}])
def test_an_answer_without_a_token_is_refused(service: ScriptedSalesforce, door: Door, body: object) -> None:
    service.login = Said(200, body)
    with pytest.raises(AccessRefused):
        door.client.rest("limits")


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(service: ScriptedSalesforce, door: Door) -> None:
    service.login = Said(body={"access_token": "t", "instance_url": "http://acme.my.salesforce.com"})
    with pytest.raises(ConfigurationError, match="https"):
        door.client.rest("limits")
    assert not service.calls
    with pytest.raises(ConfigurationError):
        instance_url("ftp://x")


def test_missing_variables_are_named(tmp_path: Path) -> None:
    cases: list[tuple[Environment, str]] = [
        (Environment(), "SALESFORCE_LOGIN_URL"),
        (Environment(salesforce_login_url="https://x.my.salesforce.com"), "SALESFORCE_CLIENT_ID"),
        (environment_for("https://x.my.salesforce.com", salesforce_client_secret=None), "SALESFORCE_CLIENT_SECRET"),
        (
            environment_for(
                "https://x.my.salesforce.com",
                salesforce_username="a@b.test",
                salesforce_private_key_file=tmp_path / "missing.pem",
            ),
            "SALESFORCE_PRIVATE_KEY_FILE",
        ),
    ]
    for environment, name in cases:
        with pytest.raises(ConfigurationError, match=name):
            door_to(environment).client.rest("limits")


def test_a_key_that_salesforce_does_not_take_is_refused(tmp_path: Path) -> None:
    keys = {
        "elliptic": _pem(ec.generate_private_key(ec.SECP256R1())),
        "short": _pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        "nonsense": b"not a key",
    }
    for name, pem in keys.items():
        file = tmp_path / name
        file.write_bytes(pem)
        environment = environment_for(
            "https://x.my.salesforce.com", salesforce_username="a@b.test", salesforce_private_key_file=file
        )
        with pytest.raises(ConfigurationError, match="SALESFORCE_PRIVATE_KEY_FILE"):
            door_to(environment).client.rest("limits")


def test_the_name_of_a_cached_token_holds_no_secret() -> None:
    name = token_name(environment_for("https://x.my.salesforce.com", salesforce_client_secret="s3cret"))
    assert "s3cret" not in name
    assert name != token_name(environment_for("https://x.my.salesforce.com", salesforce_client_id="other"))
