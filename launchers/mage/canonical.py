"""Rewrite each pipeline's metadata.yaml in Mage's format: `python -m launchers.mage.canonical`.

In that format, an edit in Mage's pages changes one line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from mage_ai.data_preparation.models.pipeline import Pipeline

from launchers.mage.limits import MAGE_PROJECT

_to_dict_base = Pipeline.to_dict_base


def patch_metadata() -> None:
    """Omit `variables_dir`, which Mage 0.9.80 writes as an absolute path and never reads."""
    Pipeline.to_dict_base = to_dict_base


def to_dict_base(pipeline: Pipeline, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Return the saved fields of a pipeline, except its blocks."""
    base = _to_dict_base(pipeline, *arguments, **options)
    return {name: value for name, value in base.items() if name != "variables_dir"}


def save(project: Path) -> None:
    """Rewrite metadata.yaml of each pipeline of a Mage project; unlike Mage's method, keeps no copies."""
    for file in sorted(project.glob("pipelines/*/metadata.yaml")):
        pipeline = Pipeline.get(file.parent.name, repo_path=str(project))
        metadata = pipeline.to_dict(
            exclude_data_integration=True, include_execution_framework=True, include_extensions=True
        )
        file.write_text(yaml.dump(metadata, allow_unicode=True), "utf-8")


if __name__ == "__main__":
    patch_metadata()
    save(MAGE_PROJECT)
    sys.exit()
