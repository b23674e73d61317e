"""The command line and the Makefile accept every `taxi` and `make` command of the documentation."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import click
import pytest
import typer
import yaml

from nyc_taxi.cli.commands import app
from nyc_taxi.settings import PROJECT
from tests.unit.docs.markdown import PAGES, code_spans, commands, name, split

MAKEFILE = (PROJECT / "Makefile").read_text("utf-8")
TAXI = typer.main.get_command(app)


def check_taxi(arguments: list[str], complete: bool = True) -> None:
    """Parse the arguments as `taxi` does, without running it; incomplete ones may lack arguments."""
    command: click.Command = TAXI
    context = click.Context(command, info_name="taxi")
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        child = command.get_command(context, arguments[0])
        assert child, f"`{context.command_path}` has no command {arguments[0]}"
        context = click.Context(child, info_name=arguments[0], parent=context)
        command, arguments = child, arguments[1:]
    try:
        command.make_context(context.info_name, list(arguments))
    except click.exceptions.Exit:  # --help and --version
        return
    except click.MissingParameter:
        assert not complete, f"`{context.command_path}` lacks an argument"
    except click.BadParameter as error:
        if "does not exist" not in error.message:  # a folder or file of the reader's
            raise


def check_make(arguments: list[str]) -> None:
    """Each word is a target, or a variable that the targets use."""
    targets = [word for word in arguments if "=" not in word]
    variables = {word.split("=")[0] for word in arguments if "=" in word}
    for folder in (word.removeprefix("TESTS=") for word in arguments if word.startswith("TESTS=")):
        assert (PROJECT / folder).exists(), f"{folder}: there are no such tests"
    known = set(re.search(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[1].split())
    assert set(targets) <= known, f"make has no target {set(targets) - known}"
    used = set().union(*map(variables_of, targets))
    assert variables <= used, f"make {targets} does not use {variables - used}"


def variables_of(target: str) -> set[str]:
    """The variables that a target's recipe uses, directly or by way of other variables."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n?)*)", MAKEFILE, re.MULTILINE)[1]
    used: set[str] = set()
    texts = [recipe]
    while texts:
        new = set(re.findall(r"\$\((\w+)\)|\$\(if \$\((\w+)\)", texts.pop()))
        for variable in {word for pair in new for word in pair if word} - used:
            used.add(variable)
            texts += re.findall(rf"^{variable} :?= *(.*)$", MAKEFILE, re.MULTILINE)
    return used


def check(words: list[str], complete: bool = True) -> None:
    """Check one command if it is one of ours, also inside a container."""
    words = list(words)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    if words[:2] == ["docker", "compose"]:
        check_compose(words[2:])
        words = words[words.index("mage") + 1 :] if "exec" in words and "mage" in words else []
    if words and Path(words[0]).name == "taxi":
        check_taxi(words[1:], complete)
    elif words and words[0] == "make":
        check_make(words[1:])


def check_compose(words: list[str]) -> None:
    """A profile that is named exists."""
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))["services"].values()
    profiles = {profile for service in services for profile in service.get("profiles", [])}
    for option, value in itertools.pairwise(words):
        assert option != "--profile" or value in profiles, f"there is no profile {value}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_blocks_are_complete(page: Path) -> None:
    for command in commands(page):
        check(command)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_the_text_exist(page: Path) -> None:
    for span in code_spans(page):
        if re.match(r"(taxi|make) ", span) and "<" not in span:
            for command in split(span):
                check([word for word in command if word != "..."], complete=False)


def test_a_wrong_command_is_noticed() -> None:
    for command in (
        "taxi rum green 2020-04",
        "taxi run green 2020-04 --into postgres",
        "taxi run green",
        "make tests",
        "make run TESTS=tests",
        "docker compose --profile clouds up",
    ):
        with pytest.raises((AssertionError, click.NoSuchOption)):
            check(command.split())


def test_ci_and_the_workflow_run_the_same_targets() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    targets = workflow["jobs"]["make"]["strategy"]["matrix"]["target"]
    assert targets == re.findall(
        r"^make ([\w-]+(?: \w+=\w+)*)", (PROJECT / ".ci" / "run").read_text("utf-8"), re.MULTILINE
    )
    for target in targets:
        check_make(target.split())
