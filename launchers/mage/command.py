"""The command `mage`, which starts sooner: `python -m launchers.mage.command run mage_project taxi_trips`.

On import, Mage 0.9.80 loads scikit-learn to recognise and display models, and by way of memory_profiler
IPython for its magic commands: 0.6 s of CPU. Here only blocks that use them load them.
"""

from __future__ import annotations

import sys
import types
from typing import Any


def _without_ipython() -> None:
    if "IPython" in sys.modules:
        return
    sys.modules["IPython"] = None  # type: ignore[assignment]  # importing it raises ImportError
    try:
        import memory_profiler  # noqa: F401  # defines no magic commands then
    finally:
        del sys.modules["IPython"]


def _without_scikit_learn() -> None:
    if "sklearn" in sys.modules:
        return
    import mage_ai.shared.complex

    is_model = mage_ai.shared.complex.is_model_sklearn

    def is_model_sklearn(data: Any) -> bool:
        """Return whether a value is a model, which it cannot be where nothing has imported the library."""
        return "sklearn" in sys.modules and is_model(data)

    def estimator_html_repr(model: Any) -> str:
        from sklearn.utils import estimator_html_repr

        return str(estimator_html_repr(model))

    mage_ai.shared.complex.is_model_sklearn = is_model_sklearn
    library, utils = types.ModuleType("sklearn"), types.ModuleType("sklearn.utils")
    utils.estimator_html_repr = estimator_html_repr  # type: ignore[attr-defined]
    sys.modules |= {"sklearn": library, "sklearn.utils": utils}
    try:
        import mage_ai.data_preparation.models.block.outputs
        import mage_ai.data_preparation.models.utils
    finally:
        del sys.modules["sklearn"], sys.modules["sklearn.utils"]


_without_ipython()
_without_scikit_learn()

from mage_ai.cli.main import app  # noqa: E402  # after the libraries it is to do without

if __name__ == "__main__":
    app()
