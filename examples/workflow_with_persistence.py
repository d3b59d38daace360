"""A workflow of agents that continues where it was interrupted, in another process too.

    python examples/workflow_with_persistence.py                                                     # in memory
    DB_BACKEND=mongodb CHATSTORE_URI=mongodb://localhost:27017 python examples/workflow_with_persistence.py
    DB_BACKEND=mongodb CHATSTORE_URI=... python examples/workflow_with_persistence.py THREAD_ID     # continue this one

Each turn of an agent is a message of a thread. A run reads the thread, and begins with the first turn that is missing. The
agents are plain functions, so the example needs no model.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from chatstore_cli.aio.threads import ConversationRepository, Message, StateConfig, StateManager, create_repository

Agent = Callable[[list[Message]], str]


def researcher(history: list[Message]) -> str:
    """Finds one fact for each turn of its own."""
    facts = ["The museum of clocks opens at ten.", "It is closed on Mondays."]
    found = [message for message in history if message.metadata.get("agent") == "researcher"]
    return facts[len(found)]


def writer(history: list[Message]) -> str:
    """Writes down all facts so far."""
    facts = [message.content for message in history if message.metadata.get("agent") == "researcher"]
    return "Dear visitor! " + " ".join(facts)


TURNS: list[Agent] = [researcher, writer, researcher, writer]


async def run(manager: StateManager, *, at_most: int = len(TURNS)) -> None:
    """Make the turns that are missing in the current thread, `at_most` of them."""
    history = await manager.load_conversation_history()
    done = sum("agent" in message.metadata for message in history)
    for turn, agent in list(enumerate(TURNS))[done : done + at_most]:
        text = agent(history)
        message = await manager.add_message(
            "assistant",
            text,
            metadata={"agent": agent.__name__, "turn": turn},
            # If this process is killed before it learns that the turn is stored, the next run stores nothing twice.
            message_id=f"{manager.current_thread_id}:{turn}",
        )
        history += manager.convert_to_conversation_messages([message])
        print(f"turn {turn}, {agent.__name__}: {text}")


async def start(repository: ConversationRepository, config: StateConfig) -> str:
    """The first run, which is interrupted after two turns. Returns the id of its thread."""
    manager = StateManager(repository, user_id=config.user_id, org_id=config.org_id)
    thread = await manager.create_thread("Letter to visitors")
    await manager.add_message("user", "Write a letter about the opening times.")
    await run(manager, at_most=2)
    print(f"Interrupted. To continue: {thread.id}")
    return thread.id


async def resume(repository: ConversationRepository, config: StateConfig, thread_id: str) -> None:
    """A later run, which needs only the id of the thread."""
    manager = StateManager(repository, user_id=config.user_id, org_id=config.org_id)
    await manager.set_current_thread(thread_id)
    await run(manager)
    [letter] = await manager.get_messages(limit=1, newest=True)
    print("Done:", letter.content["text"])


async def main(thread_id: str | None = None) -> None:
    """Start a workflow and resume it, or resume the one of the given thread."""
    config = StateConfig.from_env()
    async with create_repository(config.database) as repository:
        await resume(repository, config, thread_id or await start(repository, config))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
