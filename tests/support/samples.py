"""The documents of tests/samples, decoded.

`general.json` has general chats with their segments. `multi_agent.json` has the other collections of the same platform:
the counters of general chats (of one user, several), workflow sessions with their rare fields, WorkflowSessions,
ArtifactInstances, WorkflowStats, and the session registry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bson import json_util
from pymongo.database import Database

from tests.support.paths import SAMPLES


def sample_documents(sample: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each collection of tests/samples/<sample>.json, with its documents."""
    for collection, documents in json.loads((SAMPLES / f"{sample}.json").read_text())["collections"].items():
        yield collection, [json_util.loads(json.dumps(document)) for document in documents]


def store_sample(database: Database[dict[str, Any]], *samples: str) -> None:
    """Store the documents of samples in the collections that they name."""
    for sample in samples:
        for collection, documents in sample_documents(sample):
            database[collection].insert_many(documents)
