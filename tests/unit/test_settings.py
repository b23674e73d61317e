"""Connections from io_config.yaml, whatever characters they have."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

from nyc_taxi import settings
from nyc_taxi.errors import SettingsError
from nyc_taxi.settings import OTHER_NAMES, PROJECT, Settings, load_settings

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


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `.env` that is read, not there yet."""
    monkeypatch.setattr(settings, "PROJECT", tmp_path)
    monkeypatch.setenv("TAXI_THREADS", "1")  # what the file sets is taken back after the test
    return tmp_path / ".env"


@pytest.mark.parametrize(
    "line",
    [
        *("POSTGRES_PASSWORD hunter2", 'POSTGRES_PASSWORD="hunter2', "POSTGRES_PASSWORD='hunter2' 2"),
        *("POSTGRES_PASSWORD:hunter2", "POSTGRES_PASSWORD:hunter2=2"),
    ],
)
def test_a_line_that_sets_nothing_is_named_without_its_value(env_file: Path, line: str) -> None:
    env_file.write_text(f"# passwords\nTAXI_THREADS=1\n{line}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\.env: line 3 is not NAME=value") as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'pa$$word ${HOME} # \\n'", "pa$$word ${HOME} # \\n"),
        ('"a\\n\\"b\\" # ${BASE} \\\\"  # comment', 'a\n"b" # base \\'),
        ('"two\nTAXI_THREADS=9"', "two\nTAXI_THREADS=9"),
        ("'it' # costs $5", "it"),
        ("${BASE}/b # costs $5", "base/b"),
        ("b#c'd\"e\\f", "b#c'd\"e\\f"),
        ("", ""),
    ],
)
def test_values_mean_what_they_mean_for_compose(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: str
) -> None:
    names = ("BASE", "POSTGRES_PASSWORD")
    for name in names:  # monkeypatch takes back what the file sets
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    env_file.write_text(f"BASE=base\nexport POSTGRES_PASSWORD={text}\nBASE=base\n", encoding="utf-8")
    load_settings()
    assert os.environ["POSTGRES_PASSWORD"] == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "hunter$2",
            "hunter$$2",
            "${HOME:-hunter2}",
            '"hunter$2"',
            '"hunter\\$2"',
            '"hunter\\x2"',
            '"\\0hunter2"',
        ),
        *("'hunter\\\\2'", "'hunter\\'2'", "hunter\t#2", " # hunter2", '"a\\\'hunter2"'),
        *("hunter\u00a0#2", "hunter2\x1c", "\u2003'hunter2'", "\x85hunter2", "hunter\x0b#2"),
    ],
)
def test_values_that_compose_reads_differently_are_refused(env_file: Path, text: str) -> None:
    env_file.write_text(f"TAXI_THREADS=1\nPOSTGRES_PASSWORD={text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"line 2: Docker Compose reads POSTGRES_PASSWORD diff") as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


def test_the_line_of_a_refused_value_is_counted_across_empty_lines(env_file: Path) -> None:
    env_file.write_text("TAXI_THREADS=1\n\n\nPOSTGRES_PASSWORD= # none\n", encoding="utf-8")
    advice = "line 4: Docker Compose reads POSTGRES_PASSWORD differently; put the comment on a line"
    with pytest.raises(SettingsError, match=advice):
        load_settings()


@pytest.mark.parametrize(
    "content", ["P=hunter2\n".encode("utf-16"), b"P=hunter\0002\n", b"# comment\rP=hunter2\n"]
)
def test_an_env_file_that_is_not_text_is_named(env_file: Path, content: bytes) -> None:
    env_file.write_bytes(content)
    with pytest.raises(
        SettingsError, match=r"\.env: cannot be read; make it a readable UTF-8 file"
    ) as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


def test_a_name_that_nothing_reads_is_named_once_with_the_nearest(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TAXI_WORKSPCE", "/elsewhere")
    monkeypatch.setenv("TAXI_XYZZY", "1")
    monkeypatch.setenv("TAXI_TRIGGER_TOKEN", "token")
    with caplog.at_level(logging.WARNING):
        load_settings()
        load_settings()
    assert [record.getMessage() for record in caplog.records] == [
        "TAXI_WORKSPCE is not a setting and has no effect; did you mean TAXI_WORKSPACE?",
        "TAXI_XYZZY is not a setting and has no effect; see .env.example for the names.",
    ]


def test_every_name_in_the_project_is_known() -> None:
    folders = ("airflow_project", "docker", "launchers", "mage_project", "nyc_taxi", "terraform")
    endings = {".py", ".sql", ".tf", ".yaml", ".yml", ".sh", ".env"}
    paths = [
        path
        for name in folders
        for path in (PROJECT / name).rglob("*")
        if path.suffix in endings and path.is_file()
    ]
    paths += [PROJECT / ".env.example", PROJECT / "docker-compose.yml"]
    names = {name for path in paths for name in re.findall(r"\bTAXI_[A-Z_]+\b", path.read_text("utf-8"))}
    known = {f"TAXI_{name.upper()}" for name in Settings.model_fields} | OTHER_NAMES
    assert names - known - {"TAXI_TEST_"} == set()
