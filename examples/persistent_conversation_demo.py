"""Store a conversation in a thread, and resume it in a second session.

    python examples/persistent_conversation_demo.py                                                  # in memory
    DB_BACKEND=mongodb CHATSTORE_URI=mongodb://localhost:27017 python examples/persistent_conversation_demo.py

`DB_BACKEND` names the database. `DEFAULT_USER_ID` and `DEFAULT_ORG_ID` name the owner of the threads.
"""

from __future__ import annotations

import asyncio

from chatstore_cli.aio.threads import (
    ConversationHistory,
    ConversationRepository,
    StateConfig,
    StateManager,
    ThreadNotFound,
    create_repository,
)


async def first_session(repository: ConversationRepository, config: StateConfig) -> str:
    """Create a thread and add messages. Returns the thread's id, which the application remembers."""
    manager = StateManager(repository, user_id=config.user_id, org_id=config.org_id)
    thread = await manager.create_thread("Travel planning: Tokyo")

    history = ConversationHistory(max_messages=50, state_manager=manager, persist_to_db=True)
    await history.add("user", "Plan a trip to Tokyo.")
    await history.add("assistant", "When do you want to travel?", {"usage": {"input_tokens": 6, "output_tokens": 7}})
    print("First session:", len(history), "messages in", repr(thread.name))
    return thread.id


async def second_session(repository: ConversationRepository, config: StateConfig, thread_id: str) -> None:
    """Continue the thread, as another process would."""
    manager = StateManager(repository, user_id=config.user_id, org_id=config.org_id)
    await manager.set_current_thread(thread_id)

    history = ConversationHistory(max_messages=50, state_manager=manager, persist_to_db=True)
    await history.load_from_db()
    await history.add("user", "In May, for a week.")
    print(history.format_for_prompt())

    # Try another answer without changing the thread.
    fork = await manager.fork_thread(name="Travel planning: Kyoto")
    await manager.add_message("assistant", "Kyoto is calmer in May.", thread_id=fork.id)
    for thread in await manager.list_threads(limit=2):
        messages = [message async for message in manager.iter_messages(thread.id)]
        print(f"{thread.name}: {len(messages)} messages")


async def other_user(repository: ConversationRepository, thread_id: str) -> None:
    """A manager of another user does not see the thread."""
    manager = StateManager(repository, user_id="somebody_else")
    try:
        await manager.set_current_thread(thread_id)
    except ThreadNotFound as error:
        print("Somebody else:", str(error).replace(thread_id, "..."))


async def main() -> None:
    """Both sessions, on the repository that the environment names."""
    config = StateConfig.from_env()
    async with create_repository(config.database) as repository:
        thread_id = await first_session(repository, config)
        await second_session(repository, config, thread_id)
        await other_user(repository, thread_id)


if __name__ == "__main__":
    asyncio.run(main())
