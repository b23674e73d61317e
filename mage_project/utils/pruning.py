"""Deletes previews and logs of old runs, which Mage keeps forever by default."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pandas as pd
from mage_ai.data_preparation.logging.logger_manager_factory import LoggerManagerFactory
from mage_ai.data_preparation.models.pipeline import Pipeline
from mage_ai.data_preparation.variable_manager import clean_variables
from mage_ai.settings.repo import get_repo_path

_PREFIX = "Removing folder "


def prune() -> pd.DataFrame:
    """Delete what is older than mage_project/metadata.yaml allows; returns the deleted folders."""
    with redirect_stdout(io.StringIO()) as output:  # Mage prints the folders that it deletes
        for name in Pipeline.get_all_pipelines(get_repo_path()):
            clean_variables(pipeline_uuid=name)
            LoggerManagerFactory.get_logger_manager(pipeline_uuid=name).delete_old_logs()
    lines = output.getvalue().splitlines()
    folders = [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX)]
    return pd.DataFrame({"folder": pd.Series(folders, dtype=str)})
