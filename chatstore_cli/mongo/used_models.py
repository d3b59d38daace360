"""Which sessions have used a model, by the usage that is stored."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.config.settings import Settings
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, id_values, is_storable
from chatstore_cli.mongo.ledger_layouts import within_layout


def sessions_in_ledger(
    connection: Connection, settings: Settings, layout: str, model: str, session_ids: Sequence[str]
) -> set[str]:
    """Those of the sessions of a layout with a report about the model in the usage ledger."""
    name = settings.layouts.workflow.usage
    if not is_storable(model) or not collection_facts(connection, name).exists:
        return set()
    among = {"chat_id": {"$in": list(session_ids)}, "model": {"$eq": model}, **within_layout(layout)}
    with driver_errors(f"looking up the model {model!r} in {name}"):
        return {str(each) for each in connection.collection(name).distinct("chat_id", among)}


def threads_with_messages(connection: Connection, name: str, model: str, thread_ids: Sequence[str]) -> set[str]:
    """Those of the threads with a message whose metadata, or the usage in it, names the model."""
    if not is_storable(model) or not collection_facts(connection, name).exists:
        return set()
    values = [value for thread in thread_ids for value in id_values(thread)]
    named: list[Document] = [
        {"content.metadata.model": {"$eq": model}},
        {"content.metadata.usage.model": {"$eq": model}},
    ]
    with driver_errors(f"looking up the model {model!r} in {name}"):
        found = connection.collection(name).distinct(
            "chat_thread_id", {"chat_thread_id": {"$in": values}, "$or": named}
        )
    return {text for each in found if (text := addressable_id(each)) is not None}
