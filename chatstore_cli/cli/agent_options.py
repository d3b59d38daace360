"""The arguments and options that the commands of `chatstore agents` share, and the configurations that they give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.domain.errors import BadValue, InvalidAgent, WrongUse

if TYPE_CHECKING:
    from chatstore_cli.core.agents.stored_values import Path

AgentArgument = Annotated[
    str,
    typer.Argument(metavar="AGENT_ID", help="The id of the agent: 24 hexadecimal digits."),
]
AgentTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="ID", help="Require this tenant. Other tenants' agents count as missing."),
]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show secrets such as API keys instead of a mask.")]
ConfigFileOption = Annotated[
    str | None,
    typer.Option(
        "--file", metavar="FILE", help="Read the configuration, YAML or JSON, from FILE (- for stdin), as a whole."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a value of the configuration, for example engine.llm=openai/gpt-4o; repeatable.",
    ),
]
UnsetOption = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="PATH", help="Remove a value of the configuration, after every --set; repeatable."),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name: 1 to 128 characters.")]
DescriptionOption = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="The description: at most 2,048 characters.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def agent_id_of(text: str) -> str:
    """The id of an agent, checked before anything is looked up. Raises BadValue in the words of the command."""
    from chatstore_cli.core.agents.checks import checked_agent_id

    try:
        return checked_agent_id(text)
    except InvalidAgent as error:
        raise BadValue(name="AGENT_ID", value=text, expected="the id of an agent", hint=error.hint) from error


def version_id_of(text: str, name: str) -> str:
    """The id of a version, checked before anything is looked up; `name` is its argument or option. Raises BadValue."""
    from chatstore_cli.core.agents.checks import checked_version_id

    try:
        return checked_version_id(text)
    except InvalidAgent as error:
        raise BadValue(name=name, value=text, expected="the id of a version", hint=error.hint) from error


def read_config(path: str | None) -> dict[str, Any] | None:
    """The configuration in a file, or in stdin for `-`; None without a path. Raises WrongUse, NotFound, ChatstoreError."""
    return None if path is None else config_in(*content_of(path))


def content_of(path: str) -> tuple[bytes, str]:
    """The content of a file, or of stdin for `-`, and its name in errors. Raises NotFound, ChatstoreError."""
    from chatstore_cli.cli.message_input import opened
    from chatstore_cli.config.yaml_document import MOST_BYTES

    with opened(path) as stream:
        return stream.read(MOST_BYTES + 1), "stdin" if path == "-" else path


def config_in(content: bytes, label: str) -> dict[str, Any]:
    """The object in a YAML or JSON document. `label` names it in errors. Raises WrongUse."""
    value = value_in(content, label)
    if not isinstance(value, dict):
        raise WrongUse(what=f"{label} is not an object with keys, such as `engine: {{llm: openai/gpt-4o}}`.")
    return value


def value_in(content: bytes, label: str) -> Any:
    """The value in a YAML or JSON document. `label` names it in errors. Raises WrongUse."""
    from chatstore_cli.config.yaml_document import MOST_BYTES, read_document

    if len(content) > MOST_BYTES:
        raise WrongUse(what=f"{label} has more than {MOST_BYTES >> 20} MiB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1:,} is 0x{content[error.start]:02x}"
        raise WrongUse(what=f"{label} is not UTF-8: {found}.") from error
    return read_document(text, label)


def config_changes(
    assignments: list[str] | None, removals: list[str] | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """What --set and --unset make of a configuration, which they change; None without these options. Raises WrongUse."""
    from chatstore_cli.core.agents.paths import parsed_assignment, parsed_path, path_text, set_value, unset_value

    if not assignments and not removals:
        return None
    sets: list[tuple[Path, Any]] = []
    for text in assignments or []:
        path, value = parsed_assignment(text, "--set")
        sets.append((path, typed_value(value, f"--set {path_text(path)[:200]}")))
    paths = [parsed_path(text, "--unset") for text in removals or []]

    def change(config: dict[str, Any]) -> dict[str, Any]:
        for path, value in sets:
            set_value(config, path, value, "--set")
        for path in paths:
            unset_value(config, path, "--unset")
        return config

    return change


def changed_config(given: Mapping[str, Any] | None, assignments: list[str] | None) -> dict[str, Any] | None:
    """The configuration of --file with the values of --set; None without both."""
    change = config_changes(assignments)
    if change is None:
        return None if given is None else dict(given)
    return change({} if given is None else dict(given))


def typed_value(text: str, option: str) -> Any:
    """The value of a word on the command line: JSON if it begins with {, [ or ", else a plain value as in a file.

    An empty word is an empty text. `option` names the value in errors. Raises BadValue.
    """
    from chatstore_cli.config.yaml_document import scalar
    from chatstore_cli.core.threads.json_reader import reject_constant

    if not text[:1] or text[0] not in '{["':
        return scalar(text) if text else ""
    try:
        return json.loads(text, parse_constant=reject_constant)
    except (ValueError, RecursionError):
        example = """--set 'greeting="[smiles] Hello"'""" if option.startswith("--set") else """'"[smiles] Hello"'"""
        hint = f'Write a text that begins with {{, [ or " as JSON: {example}.'
        # The value may be a secret, so neither the error nor its cause shows it.
        raise WrongUse(what=f"{option}: the value is not JSON.", hint=hint) from None
