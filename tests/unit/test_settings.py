"""Connections from io_config.yaml, whatever characters they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.errors import SettingsError
from nyc_taxi.settings import load_settings

SECRETS = ("POSTGRES_PASSWORD", "MYSQL_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.mark.parametrize("password", ['a"b', "a\\b", "{{ a }}", "{% a", "a: #b", "'", "ü€", "\ttab"])
def test_a_password_may_have_any_character(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, password)
    connections = load_settings().connections
    assert {name: connections[name] for name in SECRETS} == dict.fromkeys(SECRETS, password)


@pytest.mark.parametrize(
    "line", ['POSTGRES_PASSWORD: "hunter"2"', "  POSTGRES_PASSWORD: hunter2\n X: [", "a: b: hunter2"]
)
def test_an_invalid_file_is_named_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    config = tmp_path / "io_config.yaml"
    config.write_text(f"default:\n  GCS_BUCKET: x\n  {line}\n", encoding="utf-8")
    monkeypatch.setenv("TAXI_IO_CONFIG", str(config))
    with pytest.raises(SettingsError, match=r"io_config\.yaml: is not valid YAML in line \d") as caught:
        _ = load_settings().connections
    assert "hunter" not in str(caught.value)
