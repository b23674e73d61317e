"""What a file of a transform says before it is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyc_taxi.errors import TransformError
from nyc_taxi.settings import DEFAULT_TRANSFORM
from nyc_taxi.transform.user.function import load_function, same_code
from nyc_taxi.transform.user.source import load_transform, read_transform

BLOCK = '''\
"""A block."""
import pandas as pd

from mage_project.utils.checks import assert_safe_preview
from nyc_taxi.transform.user import each_batch

if "transformer" not in globals():
    from mage_ai.data_preparation.decorators import transformer

LIMIT = 1


def helper(trips):
    """Helps."""
    return trips["passenger_count"] > LIMIT


@each_batch
def derive_trips(trips: pd.DataFrame) -> pd.DataFrame:
    """Keep some trips."""
    # by their passengers
    return trips[helper(trips)]


@transformer
def block(data, *args, **variables):
    return assert_safe_preview(derive_trips(data))
'''


def transform(path: Path, text: str = BLOCK):
    path.write_text(text)
    loaded = load_transform(path)
    assert loaded
    return loaded


def test_the_projects_own_function_changes_nothing() -> None:
    path = DEFAULT_TRANSFORM
    assert load_transform(path) is None
    function = read_transform(path)
    assert function
    assert function.name == "derive_trips"
    assert "passenger_count" in path.read_text()


@pytest.mark.parametrize("text", [None, "", "\n# nothing\n", '"""Nothing."""\n'])
def test_no_file_or_an_empty_one_is_no_transform(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "derive_trips.py"
    if text is not None:
        path.write_text(text)
    assert load_transform(path) is None


@pytest.mark.parametrize(
    ("body", "is_transform"),
    [
        ("return trips", False),
        ('"""Text."""\n    # comment\n    return trips', False),
        ("return other", True),
        ("trips = trips[:1]\n    return trips", True),
        ("pass", True),
    ],
)
def test_a_function_that_only_returns_its_argument_is_no_transform(
    tmp_path: Path, body: str, is_transform: bool
) -> None:
    path = tmp_path / "derive_trips.py"
    path.write_text(f"@each_batch\ndef derive_trips(trips):\n    {body}\n")
    assert (load_transform(path) is not None) is is_transform


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# by their passengers", "# another comment"),
        ('"""Keep some trips."""', '"""Another docstring."""'),
        ('    """Helps."""\n', ""),
        ('"""A block."""\n', "\n\n"),
        ("return assert_safe_preview(derive_trips(data))", "return data"),
        ("import assert_safe_preview", "import assert_safe_preview, sha256"),
    ],
)
def test_comments_docstrings_and_what_only_mage_needs_make_no_other_version(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "derive_trips.py"
    assert BLOCK.count(old) == 1
    assert transform(path).fingerprint == transform(path, BLOCK.replace(old, new)).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 1", "LIMIT = 2"),
        ('trips["passenger_count"] > LIMIT', 'trips["passenger_count"] >= LIMIT'),
        ("trips: pd.DataFrame", "trips: pa.Table"),
        ("return trips[helper(trips)]", "trips = trips[helper(trips)]\n    return trips"),
    ],
)
def test_code_makes_another_version_and_undoing_it_the_old_one(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "derive_trips.py"
    first = transform(path).fingerprint
    assert BLOCK.count(old) == 1
    assert transform(path, BLOCK.replace(old, new)).fingerprint != first
    assert transform(path).fingerprint == first


def test_the_fingerprint_is_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    """As computed by Python 3.11; months must not be loaded again because Python is another."""
    expected = "4ff4f5e150283238bc1cd2270bac9cbc8bdc9bfe86342e3c5df10b08649a98aa"
    assert transform(tmp_path / "derive_trips.py").fingerprint == expected


def test_the_file_runs_without_mage_and_as_mage_runs_it(tmp_path: Path) -> None:
    file = transform(tmp_path / "derive_trips.py")
    function = load_function(file)
    in_mage: dict[str, object] = {"transformer": lambda function: function}
    exec(compile(BLOCK, "<in the editor>", "exec"), in_mage)
    assert same_code(function, in_mage["derive_trips"])  # type: ignore[arg-type]
    edited = transform(tmp_path / "other.py", BLOCK.replace("return trips[helper", "return trips[~helper"))
    assert not same_code(function, load_function(edited))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def derive_trips(trips):\n    return\n", r"marks no function with @each_batch; mark the one"),
        ("def f(:\n", r", line 1: is not valid Python"),
        ("x = 'a\0'\n", r"is not valid Python"),
        (
            "@each_batch\ndef a(trips):\n    return trips\n\n@each_batch\ndef b(trips):\n    return trips\n",
            r", line 6: marks a second function with @each_batch",
        ),
        ("@each_batch\nasync def a(trips):\n    return trips\n", r"line 2: a\(\) is asynchronous"),
        ("@each_batch\ndef a(trips, **variables):\n    return trips\n", r"a\(\) must take one argument"),
        ("@each_batch\ndef a():\n    return 1\n", r"a\(\) must take one argument"),
        ("@each_batch\ndef Keep(trips):\n    return 1\n", r"Keep\(\) gives its name to the quarantine's"),
        (
            "from mage_project.utils.mine import f\n@each_batch\ndef a(trips):\n    return f(trips)\n",
            r", line 4: uses mage_project\.utils\.mine, which is not part of the month's version; write",
        ),
        (
            "@each_batch\ndef a(trips):\n    from mage_project import mine\n    return mine.f(trips)\n",
            r", line 3: uses mage_project, which is not part",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "derive_trips.py"
    path.write_text(text)
    with pytest.raises(TransformError, match=message) as refusal:
        load_transform(path)
    assert str(refusal.value).startswith(str(path))
    assert str(refusal.value).endswith(".")


def test_a_file_that_does_not_run_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "derive_trips.py"
    with pytest.raises(TransformError, match=r"line 10: .* fails \(ZeroDivisionError: division by zero\)\.$"):
        load_function(transform(path, BLOCK.replace("LIMIT = 1", "LIMIT = 1 / 0")))
    with pytest.raises(TransformError, match=r"line 2: .*No module named 'pandos'\); install it where"):
        load_function(transform(path, BLOCK.replace("pandas as pd", "pandos as pd")))
