"""The workflow sessions that clients of the multi-agent platform start and list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.workflow.client_chats import ClientChats
    from chatstore_cli.domain.workflow.chats import Transition
    from chatstore_cli.wiring.stores import Stores


def client_chats(stores: Stores, warn: Callable[[str], None]) -> ClientChats:
    """The sessions of the workflow layout."""
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.core.workflow.client_chats import ClientChats
    from chatstore_cli.wiring.artifacts import artifact_reader
    from chatstore_cli.wiring.workflow import event_ports

    ports = event_ports(stores, warn)
    manager = AG2Manager(ports)

    def create(chat_id: str, tenant: str, user: str, workflow: str) -> Transition:
        return manager.create_session(chat_id, enterprise_id=tenant, user_id=user, workflow_name=workflow)

    return ClientChats(ports.reader, ports.writer, create, artifact_reader(stores))
