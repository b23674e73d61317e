""".env.example: every setting, with the default that holds without it."""

import os
import re

import dotenv
import pytest

from nyc_taxi.settings import PROJECT, Settings

EXAMPLE = dotenv.dotenv_values(PROJECT / ".env.example")


def test_every_setting_is_named():
    assert {f"TAXI_{name.upper()}" for name in Settings.model_fields} == {
        name for name in EXAMPLE if name.startswith("TAXI_")
    }


def test_every_variable_of_io_config_is_named_with_its_default():
    text = (PROJECT / "mage_project" / "io_config.yaml").read_text()
    used = re.findall(r"env_var\('(\w+)', '([^']*)'\)", text)
    assert len(used) == text.count("env_var("), "a variable of io_config.yaml has no default"
    assert set(used) <= EXAMPLE.items()


def test_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch):
    for name in os.environ:
        if name.startswith("TAXI_"):
            monkeypatch.delenv(name)
    defaults = Settings.from_environment()
    for name, value in EXAMPLE.items():
        monkeypatch.setenv(name, value or "")
    assert Settings.from_environment() == defaults


def test_every_variable_has_a_comment_above_it_or_above_its_group():
    for group in (PROJECT / ".env.example").read_text().split("\n\n"):
        assert group.startswith("#"), f"no comment before: {group}"


def test_no_secret_is_in_it():
    assert not any(EXAMPLE[name] for name in EXAMPLE if re.search("PASSWORD|SECRET|KEY|TOKEN", name))
