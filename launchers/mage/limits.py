"""Check that the pipelines still have their concurrency limits."""

from __future__ import annotations

from pathlib import Path

import yaml

MAGE_PROJECT = Path(__file__).resolve().parents[2] / "mage_project"

NEEDED = {
    "taxi_trips": ("pipeline_run_limit_all_triggers", "pipeline_run_limit"),
    "taxi_catch_up": ("pipeline_run_limit_all_triggers", "pipeline_run_limit"),
    "taxi_backfill": ("pipeline_run_limit_all_triggers", "pipeline_run_limit"),
    "zone_lookup": ("pipeline_run_limit",),
    "bikeshare_stations": ("pipeline_run_limit",),
}
"""Required entries of `concurrency_config`; without them parallel runs are slower and exhaust memory."""


def lost_limits(project: Path) -> list[str]:
    """Return a sentence for each pipeline of a Mage project that has lost a limit."""
    sentences = []
    for pipeline, limits in NEEDED.items():
        file = project / "pipelines" / pipeline / "metadata.yaml"
        if not file.exists():
            continue
        try:
            metadata = yaml.safe_load(file.read_text("utf-8"))
            concurrency = metadata.get("concurrency_config") or {}
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            sentences.append(f"{file} cannot be read as the metadata of a pipeline: restore it (git diff).")
            continue
        lost = [limit for limit in limits if not concurrency.get(limit)]
        names = [f"concurrency_config: {limit}" for limit in lost]
        if not metadata.get("run_pipeline_in_one_process"):
            names.append("run_pipeline_in_one_process")
        if names:
            sentences.append(f"{pipeline} has lost {', '.join(names)}: restore it in {file} (git diff).")
    return sentences
