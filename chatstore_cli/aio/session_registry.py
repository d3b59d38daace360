"""The awaitable face of the session registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli import library
from chatstore_cli.aio.face import OrderedFace, arguments_of, awaitable

if TYPE_CHECKING:
    from chatstore_cli.domain.session_registry import PrerequisitesHook

_Registry = library.SessionRegistry


class SessionRegistry(OrderedFace[library.SessionRegistry]):
    """`chatstore_cli.SessionRegistry` for an event loop: every method is awaitable.

    The calls for one connection are made one at a time, in their order.
    """

    _session_argument = "ws_id"

    @arguments_of(_Registry)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Registry(*args, **kwargs))

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, prerequisites: str | PrerequisitesHook | None = None
    ) -> SessionRegistry:
        """The registry of chatstore's configuration (mongo, layouts.general.registry, chatstore.registry). Raises BadConfig.

        `prerequisites` is as in the constructor, and takes the place of the setting.
        """
        return cls._of(_Registry.from_config(config_file, prerequisites=prerequisites))

    attach = awaitable(_Registry.attach)
    remove_session = awaitable(_Registry.remove_session)
    add_workflow = awaitable(_Registry.add_workflow)
    switch_workflow = awaitable(_Registry.switch_workflow)
    enter_general_mode = awaitable(_Registry.enter_general_mode)
    complete_workflow = awaitable(_Registry.complete_workflow)
    get_active_workflow = awaitable(_Registry.get_active_workflow)
    get_all_workflows = awaitable(_Registry.get_all_workflows)
    get_workflow_by_chat_id = awaitable(_Registry.get_workflow_by_chat_id)
    is_in_general_mode = awaitable(_Registry.is_in_general_mode)
    history = awaitable(_Registry.history)
    client_sessions = awaitable(_Registry.client_sessions)
    ensure_indexes = awaitable(_Registry.ensure_indexes)
