"""Parse the file of a transform, without executing it, for its function and fingerprint.

The file is also a block of the Mage project. Statements for Mage are omitted: imports from Mage and from the
project, and functions with Mage's decorators. Everything else is part of the transform.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nyc_taxi.errors import TransformError

MARK = "each_batch"

_MAGES_PACKAGES = ("mage_ai", "mage_project")
_MAGES_DECORATORS = {"transformer", "test", "data_loader", "data_exporter", "custom", "callback", "condition"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Names that every destination takes, of the function and of the columns that it adds."""


@dataclass(frozen=True)
class Transform:
    """A file with a function on a batch of trips."""

    path: Path
    name: str
    """Name of the function; also the quarantine reason of the rows that it drops."""
    line: int
    """Line number of the function."""
    fingerprint: str
    """Hash of the file's code, without comments, docstrings and statements for Mage."""
    is_identity: bool
    """Whether the function only returns its argument."""
    module: ast.Module = field(repr=False, compare=False)
    """The file's syntax tree without the statements for Mage."""


def load_transform(path: Path) -> Transform | None:
    """Return the transform in a file; None if the file is missing or empty, or its function changes nothing.

    Raises TransformError if the file is not valid Python, does not mark exactly one function with
    `@each_batch`, or uses code from other project files.
    """
    transform = read_transform(path)
    return None if transform is None or transform.is_identity else transform


def read_transform(path: Path) -> Transform | None:
    """Return the transform in a file, even if its function changes nothing; see `load_transform`."""
    try:
        return _parsed(path, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TransformError(f"{path}: cannot be read ({error.strerror}); set TAXI_TRANSFORM.") from None


@functools.lru_cache(maxsize=16)  # every step of a run loads it
def _parsed(path: Path, content: bytes) -> Transform | None:
    try:
        module = ast.parse(content, str(path))
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise TransformError(f"{path}{line}: is not valid Python ({reason}).") from None
    statements = _without_docstring(module.body)
    if not statements:
        return None
    function = _marked(path, statements)
    kept = [statement for statement in statements if not _is_mages(statement)]
    _refuse_project_code(path, kept, [statement for statement in statements if _is_mages(statement)])
    text = json.dumps([_plain(statement) for statement in kept])
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    is_identity = _returns_its_argument(function)
    return Transform(path, function.name, function.lineno, fingerprint, is_identity, ast.Module(kept, []))


def _marked(path: Path, statements: list[ast.stmt]) -> ast.FunctionDef:
    """Return the function marked with `@each_batch`."""
    marked = [
        statement
        for statement in statements
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and MARK in _decorators(statement)
    ]
    if not marked:
        raise TransformError(
            f"{path}: marks no function with @{MARK}; mark the one on batches, or leave the file empty."
        )
    first, *others = marked
    if others:
        raise TransformError(
            f"{path}, line {others[0].lineno}: marks a second function with @{MARK}; mark one."
        )
    where = f"{path}, line {first.lineno}: {first.name}()"
    if isinstance(first, ast.AsyncFunctionDef):
        raise TransformError(f"{where} is asynchronous; write def instead of async def.")
    if len(_arguments(first)) != 1 or first.args.vararg or first.args.kwarg or first.args.kwonlyargs:
        raise TransformError(f"{where} must take one argument, the batch of trips.")
    if not NAME.fullmatch(first.name):
        raise TransformError(
            f"{where} gives its name to the quarantine's reasons: use lower-case letters, digits and _ only."
        )
    return first


def _returns_its_argument(function: ast.FunctionDef) -> bool:
    match _without_docstring(function.body):
        case [ast.Return(ast.Name(name))]:
            return [name] == _arguments(function) and _decorators(function) == [MARK]
    return False


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]


def _decorators(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the last parts of the decorators' names."""
    names = []
    for decorator in function.decorator_list:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        names.append(node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))
    return names


def _is_mages(statement: ast.stmt) -> bool:
    """Return whether only Mage needs the statement."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            return all(_is_mages_module(name) for name in _modules(statement))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            names = _decorators(statement)
            return MARK not in names and bool(_MAGES_DECORATORS.intersection(names))
        case ast.If(ast.Compare(ast.Constant(), [ast.NotIn()], [ast.Call(ast.Name("globals"))])):
            return True  # if "transformer" not in globals(): ...
    return False


def _refuse_project_code(path: Path, kept: list[ast.stmt], left_out: list[ast.stmt]) -> None:
    """Raise TransformError if the transform uses other files, whose edits would go unnoticed."""
    origins = {
        alias.asname or alias.name.partition(".")[0]: statement.module or ""
        for statement in left_out
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    for node in (node for statement in kept for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and node.id in origins:
            module = origins[node.id]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = next((name for name in _modules(node) if _is_mages_module(name)), "")
        else:
            continue
        if module:
            raise TransformError(
                f"{path}, line {node.lineno}: uses {module}, which is not part of the month's version;"
                " write what the function needs into this file."
            )


def _modules(statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.ImportFrom):
        return ["." * statement.level + (statement.module or "")]
    return [alias.name for alias in statement.names]


def _is_mages_module(name: str) -> bool:
    return name.startswith(".") or name.partition(".")[0] in _MAGES_PACKAGES


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(ast.Constant(str())), *rest]:
            return rest
    return body


def _plain(node: ast.AST) -> list[Any]:
    """Return code as plain lists without empty fields, which differ between Python versions."""
    return [type(node).__name__, dict(_plain_fields(node))]


def _plain_fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and name == "body":
            value = _without_docstring(value)
        if isinstance(value, ast.AST):
            yield name, _plain(value)
        elif isinstance(value, list) and value:
            yield name, [_plain(item) if isinstance(item, ast.AST) else repr(item) for item in value]
        elif value is not None and value != [] and not isinstance(value, ast.expr_context):
            yield name, repr(value)
