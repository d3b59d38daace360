"""An agent as YAML in an editor, and what was changed there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chatstore_cli.cli.agent_options import config_in
from chatstore_cli.cli.editor import edit_in_editor
from chatstore_cli.core.agents.secrets import masked_config
from chatstore_cli.core.agents.stored_values import restored, same
from chatstore_cli.domain.agents.models import UNCHANGED, Agent, Unchanged
from chatstore_cli.domain.errors import ChatstoreError, WrongUse

_ABOUT = """\
# Agent {agent_id}. Save this file and close the editor to store what you changed.
# A value ******** is a secret, which stays as it is stored.
"""


@dataclass(frozen=True, slots=True)
class AgentChange:
    """The values of an edited agent. Secrets that were not changed are masked."""

    name: str | Unchanged
    description: str | Unchanged | None
    config: Mapping[str, Any]


class AgentDraft:
    """An agent in an editor. As a context manager, it keeps the edited text if an error is raised, and names the file."""

    def __init__(self, agent: Agent, say: Callable[[str], None]) -> None:
        from chatstore_cli.render.yaml_text import as_yaml

        self._masked = masked_config(agent.config)
        names = {} if agent.names_in_config else {"name": agent.name, "description": agent.description}
        self._agent_id = agent.agent_id
        self._text = _ABOUT.format(agent_id=agent.agent_id) + as_yaml({**names, "config": self._masked})
        self._shown = config_in(self._text.encode(), "the text")
        self._say = say
        self._path: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._path is None or not self._path.exists():
            return
        if kind is None:
            self._path.unlink()
        else:
            self._say(f"Nothing was stored. The edited text is kept in {self._path}.")

    def edited(self) -> AgentChange | None:
        """Open the editor and return what it made of the agent; None if nothing was changed. Raises WrongUse."""
        self._path = edit_in_editor([self._text.encode()], suffix=".yaml")
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ChatstoreError(
                what=f"Cannot read {self._path}: {error.strerror}.", hint="Nothing was stored."
            ) from error
        given = config_in(content, "The edited text")
        if same(given, self._shown):
            return None
        if missing := [key for key in self._shown if key not in given]:
            raise WrongUse(what=f"The edited text has no {missing[0]}.", hint="To remove a description, write null.")
        if unknown := [key for key in given if key not in self._shown]:
            expected = ", ".join(self._shown)
            raise WrongUse(what=f"The edited text has the unknown key {unknown[0][:100]!r}.", hint=f"Keys: {expected}.")
        config = given["config"]
        if not isinstance(config, dict):
            raise WrongUse(what="The config in the edited text is not an object.")
        return AgentChange(
            name=self._changed(given, "name"),
            description=self._changed(given, "description"),
            # YAML has no value for some numbers. What was not changed is what is stored.
            config=restored(config, self._shown["config"], self._masked),
        )

    def _changed(self, given: Mapping[str, Any], field: str) -> Any:
        if field not in given or same(given[field], self._shown[field]):
            return UNCHANGED
        return given[field]
