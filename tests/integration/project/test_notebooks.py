"""The notebooks of `examples/` run, on generated months."""

import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from nyc_taxi.settings import PROJECT

NOTEBOOKS = sorted((PROJECT / "examples").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["eras", "first_look"]


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    notebook = nbformat.read(path, as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells)
    for month in sorted(set(re.findall(r'"(20\d\d-\d\d)"', source))):
        arguments = ["run", "green", month, "--source", "sample:2000:1", "--to", "duckdb"]
        subprocess.run([Path(sys.executable).parent / "taxi", *arguments], check=True, capture_output=True)
    nbclient.NotebookClient(notebook, timeout=120).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_results_without_counters(path: Path) -> None:
    """Counters change whenever a notebook is run, results only with the code."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs
            assert not any(output.output_type == "error" for output in cell.outputs)
            assert cell.execution_count is None
