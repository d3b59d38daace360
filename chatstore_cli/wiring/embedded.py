"""What the embedded MongoDB holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.wiring.stores import Stores


def embedded_documents(stores: Stores) -> dict[str, int]:
    """The number of documents of each collection (`database.collection`). Starts the server if necessary."""
    from chatstore_cli.mongo.maintenance.all_documents import all_documents

    return all_documents(stores.embedded.ensure_running())
