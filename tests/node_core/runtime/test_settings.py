"""The settings of every agent: their defaults, and combinations that are refused."""

from pathlib import Path

import pytest

from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.instance_lock import DEFAULT_DIRECTORY
from node_core.runtime.setting import build
from node_core.runtime.settings import CommonSettings, PublishSettings, Tls, common_settings

COMMAND = agent_command("agent", CommonSettings, PublishSettings, agent="TEST", help="An agent.")
CERTIFICATE, KEY = "--tls-cert-file=/c.pem", "--tls-private-key-file=/k.pem"


def common(*arguments: str) -> CommonSettings:
    values = parse_command(COMMAND, arguments, "agent")
    assert values is not None
    return common_settings(values, CommonSettings)


def publish(*arguments: str) -> PublishSettings:
    values = parse_command(COMMAND, arguments, "agent")
    assert values is not None
    return build(PublishSettings, values)


def problems(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        common(*arguments)
    return caught.value.problems


@pytest.fixture(autouse=True)
def _without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_NAME", "KUBECONFIG", "HTTP_ADDRESS", "LOG_LEVEL", "LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)


def test_without_flags_an_agent_makes_a_pass_each_minute_and_serves_nothing() -> None:
    assert common() == CommonSettings()
    found = common()
    assert (found.node_name, found.kubeconfig, found.simulate, found.host_root) == ("", None, None, Path("/"))
    assert (found.interval, found.address, found.tls, found.metrics_auth) == (60.0, "", None, False)
    assert (found.log_format, found.log_level, found.lock_dir) == ("auto", "info", DEFAULT_DIRECTORY)
    assert (found.oneshot, found.config_files, found.notes, found.changed, found.misspelt) == (False, {}, (), {}, ())


def test_labels_are_published_to_the_node_again_and_again_by_default() -> None:
    assert publish() == PublishSettings()
    assert (publish().publish, publish().output_file, publish().oneshot) == (None, None, False)
    found = publish("--publish=file", "-o", "/labels", "--oneshot")
    assert (found.publish, found.output_file, found.oneshot) == ("file", Path("/labels"), True)
    assert common("--oneshot").oneshot is True


def test_tls_needs_a_certificate_and_its_key() -> None:
    assert common(CERTIFICATE, KEY).tls == Tls(certificate=Path("/c.pem"), key=Path("/k.pem"))
    for alone in (CERTIFICATE, KEY):
        assert problems(alone) == ("--tls-cert-file and --tls-private-key-file: set both or none",)
    assert CommonSettings(tls_key=Path("/k.pem")).tls is None
    assert CommonSettings(tls_certificate=Path("/c.pem")).tls is None


def test_tokens_are_not_sent_over_plain_http() -> None:
    assert problems("--metrics-auth") == (
        "--metrics-auth: needs --tls-cert-file: tokens must not be sent over plain HTTP",
    )
    assert common("--metrics-auth", CERTIFICATE, KEY).metrics_auth is True


def test_a_name_and_an_address_are_checked_unless_they_are_empty() -> None:
    found = common("--node-name=n1", "--http-address=:8080", "--lock-dir=")
    assert (found.node_name, found.address, found.lock_dir) == ("n1", ":8080", None)
    assert common("--node-name=", "--http-address=").address == ""
    name, address = problems("--node-name=N_1", "--http-address=8080")
    assert name.startswith("--node-name: ")
    assert address.startswith("--http-address: ")


def test_levels_and_formats_may_be_written_in_any_case() -> None:
    found = common("--log-level=DEBUG", "--log-format=Json")
    assert (found.log_level, found.log_format) == ("debug", "json")
