"""Keep pyarrow from importing pandas."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from importlib.machinery import ModuleSpec


def keep_pandas_out() -> None:
    """Spare the process the import of pandas by pyarrow: half a second and 60 MB.

    pyarrow imports it at the first `pa.array()`, only to ask whether its argument is a pandas
    object, and no longer asks once it has found one that is too old. `to_pandas()` still works:
    it imports pandas anew. Does not import pyarrow itself.
    """
    if "pyarrow" in sys.modules:
        _find_old_pandas()
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds pyarrow with the other finders, so that it finds an old pandas as soon as it is imported."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != "pyarrow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                execute(module)
                _find_old_pandas()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _find_old_pandas() -> None:
    if "pandas" in sys.modules:  # which imports pyarrow
        return
    import pyarrow as pa

    sys.modules["pandas"] = types.ModuleType("pandas")
    sys.modules["pandas"].__version__ = "0"  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(action="ignore"):
            pa.array([])
    finally:
        del sys.modules["pandas"]
