import contextlib
import json
import logging
import os
import sys

import pandas as pd
import pytest

from mage_project.utils import steps
from mage_project.utils.references import reference_of
from nyc_taxi.errors import NotPublished
from nyc_taxi.telemetry import events as telemetry


@pytest.fixture
def events(monkeypatch):
    """Call it for the events sent so far."""
    reading, writing = os.pipe()
    monkeypatch.setenv(steps.EVENTS_FD, str(writing))
    monkeypatch.setattr(steps, "INTERVAL", 0)
    os.set_blocking(reading, False)
    received = ""

    def so_far():
        nonlocal received
        with contextlib.suppress(BlockingIOError):  # nothing new
            received += os.read(reading, 65536).decode()
        return [json.loads(line) for line in received.splitlines()]

    yield so_far
    os.close(reading)
    os.close(writing)


def test_with_json_each_line_of_a_block_is_an_event_of_the_run(events, capsys, monkeypatch):
    monkeypatch.setenv("TAXI_LOG", "json")
    with steps.step("download_trips", {"service": "green", "month": "2020-04", "run": "7"}):
        logging.getLogger("nyc_taxi.pipelines.trips").info("it is here")
        with telemetry.step("download", service="green", month="2020-04") as facts:
            facts["bytes"] = 12
    lines = [telemetry.Event.model_validate_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.taxi_event for line in lines] == ["log", "step", "log"]
    assert (lines[1].run_id, lines[1].orchestrator, lines[1].bytes) == ("7", "mage", 12)
    assert [event["text"] for event in events() if event["event"] == "note"] == ["it is here"]


def test_a_step_sends_events_and_returns_rows_with_their_reference(events):
    rows = pd.DataFrame({"a": [1]})
    with steps.step("clean_trips") as current:
        current.progress(10, None)
        current.progress(20, 20)
        logging.getLogger("nyc_taxi.pipelines.trips").info("it is %s already", "clean")
        output = current.output(rows, {"rows": 20})
    assert output is rows
    assert reference_of(output) == {"rows": 20}
    sent = events()
    assert {event["step"] for event in sent} == {"clean_trips"}
    assert [event["event"] for event in sent] == [
        "started",
        "progress",
        "progress",
        "note",
        "outputs",
        "finished",
    ]
    assert sent[0]["title"] == "Clean trips"
    assert sent[1]["done"] == 10
    assert sent[3]["text"] == "it is clean already"
    assert sent[4]["reference"] == {"rows": 20}
    logging.getLogger("nyc_taxi.pipelines.trips").info("somebody else's")
    assert events() == sent


def test_progress_is_sent_at_intervals_and_at_the_end(events, monkeypatch):
    monkeypatch.setattr(steps, "INTERVAL", 3600)
    with steps.step("download_trips") as current:
        for done in range(1, 1001):
            current.progress(done, 1000)
    assert [event["done"] for event in events() if event["event"] == "progress"] == [1, 1000]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotPublished("green 2030-01 is not there."), "green 2030-01 is not there."),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_a_failure_is_sent_and_raised(events, error, message):
    with pytest.raises(type(error)), steps.step("download_trips"):
        raise error
    assert events()[-1] == {"step": "download_trips", "event": "failed", "error": message}


def test_a_listener_that_has_gone_does_not_stop_the_work(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setenv(steps.EVENTS_FD, str(writing))
    with steps.step("clean_trips"):
        pass
    os.close(writing)


def test_every_line_of_the_log_says_what_it_is_about(capsys):
    def fail():
        with steps.step("download_trips", {"service": "green", "month": "2020-04", "run": "7"}):
            logging.getLogger("nyc_taxi.pipelines.trips").info("looking")
            raise NotPublished("green 2020-04 is not there.")

    with pytest.raises(NotPublished):
        fail()
    about = "[service=green month=2020-04 run=7]"
    assert capsys.readouterr().out.splitlines() == [
        f"looking {about}",
        f"download_trips failed: green 2020-04 is not there. {about}",
    ]


def test_a_message_of_the_package_is_logged_once(capfd):
    root = logging.StreamHandler(sys.stdout)  # as Mage's own logging does
    logging.getLogger().addHandler(root)
    try:
        with steps.step("clean_trips"):
            logging.getLogger("nyc_taxi.pipelines.trips").info("it is already clean")
    finally:
        logging.getLogger().removeHandler(root)
    assert capfd.readouterr().out.count("it is already clean") == 1
    assert logging.getLogger("nyc_taxi").propagate
