"""terraform/: form, references, rules; arguments and APIs are checked in tests/unit/terraform."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import hcl2
import pytest

from nyc_taxi.settings import PROJECT

ROOT = PROJECT / "terraform"
RULES = ROOT / "modules" / "rules"
needs_terraform = pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on PATH")


def terraform(*arguments: str, folder: Path = ROOT) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = ["terraform", f"-chdir={folder}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def blocks(folder: Path, kind: str) -> list[dict]:
    """All blocks of a kind of a module."""
    parsed = [hcl2.loads(path.read_text()) for path in sorted(folder.glob("*.tf"))]
    return [block for file in parsed for block in file.get(kind, [])]


def names(folder: Path, kind: str) -> set[str]:
    """The names of a module's variables or outputs."""
    return {name.strip('"') for block in blocks(folder, kind) for name in block if name[:2] != "__"}


def addresses(kind: str) -> set[str]:
    """`type.name` of the root module's resources or data."""
    return {
        f"{type_}.{name}".replace('"', "")
        for block in blocks(ROOT, kind)
        for type_, named in block.items()
        if type_[:2] != "__"
        for name in named
        if name[:2] != "__"
    }


def text(folder: Path) -> str:
    """A module's files without comments."""
    files = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    return re.sub(r"^\s*#.*$", "", files, flags=re.MULTILINE)


@pytest.mark.parametrize("folder", [ROOT, RULES], ids=["root", "rules"])
def test_variables_are_declared_used_and_described(folder):
    assert names(folder, "variable") == set(re.findall(r"\bvar\.(\w+)", text(folder)))
    for kind in ("variable", "output"):
        for block in blocks(folder, kind):
            assert all("description" in body for name, body in block.items() if name[:2] != "__"), block


def test_references_lead_somewhere():
    written = text(ROOT)
    used = set(re.findall(r"(?<![\w.\"])(google_\w+\.\w+)", written)) - addresses("resource")
    assert {name for name in used if not name.endswith("googleapis")} == set()
    assert set(re.findall(r"\bdata\.(\w+\.\w+)", written)) == addresses("data")
    assert set(re.findall(r"\bmodule\.rules\.(\w+)", written)) == names(RULES, "output")
    [module] = [
        block['"rules"'] if '"rules"' in block else block["rules"] for block in blocks(ROOT, "module")
    ]
    assert names(RULES, "variable") <= module.keys()


def test_the_example_gives_every_variable_without_a_default():
    given = hcl2.loads((ROOT / "example.tfvars").read_text())
    required = {
        name.strip('"')
        for block in blocks(ROOT, "variable")
        for name, body in block.items()
        if name[:2] != "__" and "default" not in body
    }
    assert required <= given.keys()
    assert {name for name in given if name[:2] != "__"} <= names(ROOT, "variable")


def test_every_exception_from_checkov_has_its_reason():
    for path in ROOT.rglob("*.tf"):
        for line in re.findall(r"#checkov:skip=.*", path.read_text()):
            assert re.fullmatch(r"#checkov:skip=\w+:.{20,}", line), f"{path}: {line}"


@needs_terraform
def test_files_are_formatted():
    terraform("fmt", "-check", "-recursive")


@needs_terraform
def test_the_rules_keep_their_own_tests(tmp_path):
    shutil.copytree(RULES, tmp_path / "rules", ignore=shutil.ignore_patterns(".terraform*"))
    terraform("init", "-backend=false", folder=tmp_path / "rules")
    terraform("validate", folder=tmp_path / "rules")
    terraform("test", folder=tmp_path / "rules")
