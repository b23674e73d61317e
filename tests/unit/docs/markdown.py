"""The Markdown files of the project, taken apart: fenced blocks, code spans, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from nyc_taxi.settings import PROJECT

PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    """A page's path in the project, as the id of a test."""
    return str(page.relative_to(PROJECT))


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's fenced blocks in one language."""
    return [text for kind, text in _FENCE.findall(page.read_text("utf-8")) if kind == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks and HTML comments."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def code_spans(page: Path) -> list[str]:
    """The code spans of a page's prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """The targets of a page's links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the documentation site name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in a page's `sh` blocks."""
    for block in blocks(page, "sh"):
        yield from split(block)


def split(script: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell script, without comments and redirections."""
    text = re.sub(r"(^|\s)#\s.*", "", script.replace("\\\n", " "), flags=re.MULTILINE)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if not set(word) <= set("();|&\n"):
            words.append(word)
        elif words:
            yield [
                word
                for before, word in zip(["", *words], words, strict=False)
                if not {before[:1], word[:1]} & {"<", ">"}
            ]
            words = []
