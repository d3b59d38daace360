"""Every layout, by name. To add one, add its file, a line here, and tests/samples/<layout>.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.workflow.layout import WorkflowLayout

LAYOUTS: dict[str, Callable[[Any, Any], SessionReader]] = {
    "workflow": WorkflowLayout,
    "messages": MessagesLayout,
    "threads": ThreadsLayout,
}
