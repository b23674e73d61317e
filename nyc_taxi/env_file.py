"""`.env`, read as Docker Compose reads it.

python-dotenv parses the file. It replaces `${NAME}` even in single quotes, and Compose replaces more
elsewhere: `$NAME`, `${NAME:-...}` and `$$`. A password must not depend on its reader, so values that they
read differently are refused (compose-go's dotenv/parser.go, python-dotenv's parser.py).
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from dotenv.parser import parse_stream

from nyc_taxi.errors import SettingsError

_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
"""A name for both; for Compose, a colon ends a name too."""


def load_env_file(path: Path) -> None:
    """Set the file's variables unless already set; raises SettingsError that does not quote the file."""
    try:
        bindings = list(parse_stream(io.StringIO(_read(path))))
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        raise SettingsError(f"{path}: cannot be read; make it a readable UTF-8 file.") from None
    values: dict[str, str] = {}
    for binding in bindings:
        lines_before = re.match(r"\s*", binding.original.string)[0].count("\n")  # type: ignore[index]
        where = f"{path}: line {binding.original.line + lines_before}"
        if binding.error or (binding.key and not _NAME.fullmatch(binding.key)):
            raise SettingsError(
                f"{where} is not NAME=value; correct it, and quote a value with spaces or quotes."
            )
        if binding.key is None or binding.value is None:
            continue
        text = binding.original.string.partition("=")[2].strip(" \t")
        if _has_unclear_comment(text):
            raise SettingsError(
                f"{where}: Docker Compose reads {binding.key} differently; put the comment on a line of its"
                " own, or the value into single quotes if # belongs to it."
            )
        if _is_ambiguous(text, binding.value):
            raise SettingsError(
                f"{where}: Docker Compose reads {binding.key} differently; put a value with $ or \\ into"
                " single quotes, where \\ cannot precede \\ or a quote."
            )
        is_literal = text.startswith("'")
        values[binding.key] = binding.value if is_literal else _expand(binding.value, values)
    for name, value in values.items():
        os.environ.setdefault(name, value)


def _read(path: Path) -> str:
    """Return the text of a file; raises ValueError if it is not one, or has old line ends of Macs."""
    text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    if re.search(r"[\r\0]", text):
        raise ValueError
    return text


def _has_unclear_comment(text: str) -> bool:
    """Return whether a comment follows a tab, or no value; Compose wants a value and a space before it."""
    return not _QUOTED.match(text) and ("\t#" in text or text.startswith("#"))


def _is_ambiguous(text: str, value: str) -> bool:
    """Return whether Compose finds other variables or escapes in the text of a value."""
    quoted = _QUOTED.match(text)
    if re.search(r"[^\S \t\n]", text[quoted.end() :] if quoted else text):
        return True  # of other white space, each cuts off some
    if quoted is None:
        return "$" in _VARIABLE.sub("", value)
    single, double = quoted.groups()
    if double is None:
        return re.search(r"\\[\\']", single) is not None
    rest = _VARIABLE.sub("", re.sub(r'\\[\\"abfnrtv]', "", double))
    return "$" in rest or "\\" in rest


def _expand(value: str, values: dict[str, str]) -> str:
    """Replace `${NAME}` by the variable, which an earlier line may define; empty if neither does."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], values.get(match[1], "")), value)
