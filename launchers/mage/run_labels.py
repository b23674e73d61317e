"""A patch of Mage's lists of runs: they show each run's month, and no trigger tokens."""

from __future__ import annotations

from typing import Any

from mage_ai.api.presenters.PipelineRunPresenter import PipelineRunPresenter

_present = PipelineRunPresenter.prepare_present


def patch_run_labels() -> None:
    """Show the month beside the trigger: Mage's page *Runs* has no column for variables."""
    PipelineRunPresenter.prepare_present = prepare_present


async def prepare_present(presenter: PipelineRunPresenter, **options: Any) -> dict[str, Any]:
    """Return the API's description of a run.

    Mage 0.9.80 shows the token of the run's trigger to every role; its pages do not need it to start runs.
    """
    data: dict[str, Any] = await _present(presenter, **options)
    data.pop("pipeline_schedule_token", None)
    variables = data.get("variables") or {}
    if "pipeline_schedule_name" in data and variables.get("month"):
        label = f"({variables.get('service', '')} {variables['month']})"
        data["pipeline_schedule_name"] = f"{data['pipeline_schedule_name'] or ''} {label}".strip()
    return data
