"""The awaitable session registry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatstore_cli import aio


async def switch_at_once(registry: aio.SessionRegistry) -> None:
    """The calls for a connection are made in their order, without an await between them."""
    for tab in ("tab-1", "tab-2"):
        await registry.attach(tab, "acme", "ann", "laptop")
    calls = [registry.add_workflow("tab-1", f"c{number}", "Generator", "acme", "ann") for number in range(5)]
    calls += [registry.switch_workflow("tab-1", f"c{number}") for number in range(5)]
    switched = await asyncio.gather(*calls)
    assert [workflow and workflow.chat_id for workflow in switched] == [f"c{number % 5}" for number in range(10)]
    active = await registry.get_active_workflow("tab-2")
    assert active is not None
    assert active.chat_id == "c4"
    await registry.complete_workflow("tab-2", "c4")
    await registry.enter_general_mode("tab-2")
    assert await registry.is_in_general_mode("tab-1")
    assert [each.version for each in await registry.history("tab-1", 100)] == list(range(12, 0, -1))
    await registry.remove_session("tab-1")
    assert await registry.get_all_workflows("tab-1") == []
    assert len(await registry.client_sessions("acme", "ann")) == 1


def test_in_memory() -> None:
    async def main() -> None:
        async with aio.SessionRegistry() as registry:
            await switch_at_once(registry)
            assert await registry.ensure_indexes() == []

    asyncio.run(main())


@pytest.mark.real
def test_on_a_server(mongo_uri: str, database: Any) -> None:
    async def main() -> None:
        async with aio.SessionRegistry(mongo_uri, database.name) as registry:
            assert len(await registry.ensure_indexes()) == 2
            await switch_at_once(registry)

    asyncio.run(main())
