"""The command `mage` without the libraries that only some blocks need."""

import subprocess
import sys

import pytest

from nyc_taxi.settings import PROJECT

MODELS = """
import sys
import {module}
from mage_ai.data_preparation.models.block import outputs
from mage_ai.data_preparation.models.utils import is_model_sklearn
assert not {{"sklearn", "scipy.stats", "IPython"}} & {{*sys.modules}}
assert not is_model_sklearn(3)

from sklearn.linear_model import LinearRegression
assert is_model_sklearn(LinearRegression())
assert not is_model_sklearn(3)
assert "LinearRegression" in outputs.estimator_html_repr(LinearRegression())
"""


@pytest.mark.parametrize("module", ["launchers.mage.command", "launchers.mage.mage_patches"])
def test_models_are_displayed_though_mage_starts_without_their_library(module: str) -> None:
    code = MODELS.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_charts_outside_the_editor_are_neither_drawn_nor_import_ipython() -> None:
    code = (
        "import sys; from mage_project.utils import charts\n"
        "assert not charts.show(sys.exit) and not charts.show_page(sys.exit)\n"
        "assert 'IPython' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
