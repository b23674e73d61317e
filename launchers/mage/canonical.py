"""Writes each pipeline's metadata.yaml as Mage's pages write it: `python -m launchers.mage.canonical`.

In that form, an edit in a page changes one line.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from mage_ai.data_preparation.models.pipeline import Pipeline

from launchers.mage.environment import MAGE_PROJECT

_to_dict_base = Pipeline.to_dict_base


def patch_metadata() -> None:
    """Leave out `variables_dir`, which Mage 0.9.80 writes as an absolute path and never reads again."""
    Pipeline.to_dict_base = to_dict_base


def to_dict_base(pipeline: Pipeline, *arguments: Any, **options: Any) -> dict[str, Any]:
    """What is saved of a pipeline beside its blocks."""
    base = _to_dict_base(pipeline, *arguments, **options)
    return {name: value for name, value in base.items() if name != "variables_dir"}


def save(project: Path) -> None:
    """Load and save each pipeline of a Mage project."""
    for file in sorted(project.glob("pipelines/*/metadata.yaml")):
        asyncio.run(Pipeline.get(file.parent.name, repo_path=str(project)).save_async())


if __name__ == "__main__":
    patch_metadata()
    save(MAGE_PROJECT)
    sys.exit()
