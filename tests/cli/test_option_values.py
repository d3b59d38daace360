"""The values of options are read without pydantic, through an attribute of Typer that is private."""

from __future__ import annotations

from typing import Any

import pytest
import typer.core

from chatstore_cli.cli.main import COMMANDS, root_command

PRIVATE_ATTRIBUTE = "_runtime_param"


def _parameters(name: str) -> list[Any]:
    root = root_command()
    command = root.get_command(typer.Context(root), name)
    parameters: list[Any] = command.get_params(typer.Context(command))
    return parameters


@pytest.mark.parametrize("name", COMMANDS)
def test_typer_has_the_private_attribute_that_holds_the_reader_of_a_value(name: str) -> None:
    missing = [parameter.name for parameter in _parameters(name) if not hasattr(parameter, PRIVATE_ATTRIBUTE)]
    assert missing == [], (
        f"Typer {typer.__version__} has no {PRIVATE_ATTRIBUTE} in its parameters. chatstore_cli/cli/option_values.py "
        "sets it. Adapt that module, or keep the upper bound of Typer in pyproject.toml below this version."
    )


def test_no_option_of_ours_is_read_by_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: Any) -> Any:
        raise AssertionError(f"Typer builds its own reader of {descriptor}: it does not use {PRIVATE_ATTRIBUTE}.")

    monkeypatch.setattr(typer.core, "build_runtime_param", refuse)
    root = root_command()
    group: Any = root.get_command(typer.Context(root), "sessions")
    command = group.get_command(typer.Context(group), "list")
    with command.make_context("list", ["--limit", "7", "--status", "failed", "-o", "json"]) as context:
        assert context.params["limit"] == 7
