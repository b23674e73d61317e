"""The triggers in code: valid (a mistake in one stops the scheduler for all), bounded, without secrets."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml

from nyc_taxi.settings import PROJECT

pytestmark = [pytest.mark.mage, pytest.mark.filterwarnings("ignore")]  # Mage warns of much

FILES = sorted((PROJECT / "mage_project" / "pipelines").glob("*/triggers.yaml"))
TRIGGERS = [
    pytest.param(file.parent.name, trigger, id=f"{file.parent.name}-{trigger['name']}")
    for file in FILES
    for trigger in yaml.safe_load(file.read_text())["triggers"]
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_mage_reads_them(here, file):
    from mage_ai.data_preparation.models.triggers import SettingsConfig, load_trigger_configs

    triggers = load_trigger_configs(file.read_text(), pipeline_uuid=file.parent.name, raise_exception=True)
    assert triggers
    for trigger in triggers:
        assert trigger.has_valid_schedule_interval, trigger.name
        SettingsConfig(**trigger.settings)  # a key it does not know stops the scheduler of the whole project


@pytest.mark.parametrize(("pipeline", "trigger"), TRIGGERS)
def test_every_trigger_is_bounded_and_safe_to_share(pipeline, trigger):
    # without a timeout a block that was killed for its memory is started again for ever
    assert 0 < trigger["settings"]["timeout"] <= 7200
    assert trigger["settings"]["timeout_status"] == "failed"
    assert not trigger["token"], "Mage writes tokens here when a trigger is edited: take it out again"
    # with both dates Mage neither rewrites the file nor runs what was due before
    assert trigger["start_time"]
    assert trigger["last_enabled_at"].tzinfo == dt.UTC
    if trigger["schedule_type"] == "time":
        assert "UTC" in trigger["description"]
        assert trigger["status"] == "inactive", "nothing is downloaded before somebody wants it"
        assert trigger["settings"]["skip_if_previous_running"]


@pytest.mark.parametrize(("pipeline", "trigger"), TRIGGERS)
def test_values_in_the_panel_do_not_redirect_triggers(here, monkeypatch, pipeline, trigger):
    from mage_ai.orchestration.db.models import schedules

    panel = yaml.safe_load((FILES[0].parent.parent / pipeline / "metadata.yaml").read_text())["variables"]
    explored = dict.fromkeys(panel, "explored")
    monkeypatch.setattr(schedules, "get_global_variables", lambda _: explored)
    schedule = schedules.PipelineSchedule(name=trigger["name"], variables=trigger["variables"])
    run = schedules.PipelineRun(pipeline_schedule=schedule, pipeline_uuid=pipeline)
    variables = run.get_variables()
    assert {name for name in panel if variables[name] == "explored"} == set()


def test_the_month_of_a_monthly_run(here, server):
    """Two months before the run's date where that is published, else the newest that is."""
    from mage_project.utils.variables import request_of

    source = server.url
    moment = {"execution_date": dt.datetime(2024, 3, 2, 7), "service": "green", "source": source}
    server.put("/green_tripdata_2023-12.parquet", b"")
    assert str(request_of(moment).month) == "2023-12"
    server.put("/green_tripdata_2024-01.parquet", b"")
    server.put("/green_tripdata_2024-02.parquet", b"")
    assert str(request_of(moment).month) == "2024-01"
    assert str(request_of({**moment, "month": "2020-04"}).month) == "2020-04"


@pytest.mark.parametrize(("webhook", "is_valid"), [("", False), ("https://example.org/hook", True)])
def test_a_webhook_is_used_only_if_the_environment_names_one(here, monkeypatch, webhook, is_valid):
    from mage_ai.data_preparation.repo_manager import RepoConfig
    from mage_ai.orchestration.notification.config import NotificationConfig

    monkeypatch.setenv("MAGE_SLACK_WEBHOOK_URL", webhook)
    config = RepoConfig(repo_path=str(PROJECT / "mage_project")).notification_config
    assert NotificationConfig.load(config=config).slack_config.is_valid is is_valid
