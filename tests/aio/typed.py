"""What a type checker sees of the awaitable classes. `make check` runs mypy on this file; nothing runs it.

An error that mypy does not report is one too: its `type: ignore` is then unused.
"""

from __future__ import annotations

from typing import Any, assert_type

from chatstore_cli.aio import (
    AG2PersistenceManager,
    Agent,
    AgentConfigResolverService,
    AgentRegistryService,
    CallSession,
    CallSessions,
    ChatPersistenceWorker,
    LocalChatCache,
    Message,
    MixedTurn,
    MongoChatStorage,
    PhoneNumbers,
    ReplayBoundary,
    ResolvedConfig,
    RoutedCall,
    SessionRegistry,
    StoredChat,
    TranscriptSource,
    WorkflowContext,
)
from chatstore_cli.aio.threads import ChatMessage, ConversationHistory, MockConversationRepository, StateManager


async def main() -> None:
    """Right calls with the types of their results, and wrong calls."""
    manager = AG2PersistenceManager("uri", "database", user_names=["ada"])
    assert_type(await manager.history("chat-1", any_tenant=True), StoredChat)
    async with manager.usage_of([], chat_id="chat-1", enterprise_id="acme"):
        await manager.save_event({}, chat_id="chat-1")  # type: ignore[call-arg]  # the tenant is missing
    async for record in manager.replay([TranscriptSource("workflow", "chat-1")], app_id="acme"):
        assert_type(record, MixedTurn | ReplayBoundary)
    manager.replay([])  # type: ignore[call-arg]  # the tenant is missing
    assert_type(await manager.list_general_chats(app_id="acme", user_id="ana"), list[dict[str, Any]])
    await manager.append_general_message(general_chat_id="g-1", app_id="acme", role="user")  # type: ignore[call-arg]  # no content
    await manager.update_session_metrics("g-1", "ana", None, 1, 2, None, turn_id=3)  # type: ignore[arg-type]  # it is a text
    async for turn in manager.mixed_transcript([TranscriptSource("general", "g-1")], app_id="acme"):
        assert_type(turn, MixedTurn)
    registry = SessionRegistry()
    assert_type(await registry.switch_workflow("socket-1", "chat-1"), WorkflowContext | None)
    await registry.attach("socket-1", "acme")  # type: ignore[call-arg]  # the user is missing
    async with CallSessions("uri", "database") as calls, PhoneNumbers(default_agent="id") as numbers:
        assert_type(await calls.start("room", direction="inbound"), CallSession)
        assert_type(await numbers.resolve_did("+4930123456", tenant_id=None), RoutedCall)
        await calls.end("room")  # type: ignore[call-arg]  # either `room=` or `session_id=` is required
    async with AgentRegistryService("uri", "database") as agents, AgentConfigResolverService() as resolver:
        assert_type(await agents.update_agent("id", config={}, base_version=None), Agent)
        await agents.update_agent("id", config="{}")  # type: ignore[arg-type]  # it is an object
        assert_type(await resolver.resolve(None, {}), ResolvedConfig)
    cache = LocalChatCache(75)
    storage = MongoChatStorage("uri", "database", ttl_days="30")  # type: ignore[arg-type]  # it is a number
    async with ChatPersistenceWorker(cache, storage) as worker, storage.within(2):
        assert_type(await cache.record_chat_event("chat-1", "user", "Hello"), Message)
        assert_type(await worker.stop(1), bool)


async def client_sessions() -> None:
    """The same for the session registry."""
    async with SessionRegistry("uri", keep_days=7) as registry:
        await registry.attach("socket", "acme", "ann")
        assert_type(await registry.switch_workflow("socket", "chat-1"), WorkflowContext | None)
        await registry.add_workflow("socket", "chat-1", "Generator", "acme")  # type: ignore[call-arg]  # the user is missing


async def threads() -> None:
    """The same for threads."""
    manager = StateManager(repository=MockConversationRepository(strict_roles=False), user_id="alice")
    assert_type(await manager.add_message("user", "Hello", metadata={"mood": "good"}), ChatMessage)
    await manager.add_message("user")  # type: ignore[call-arg]  # the content is missing
    await manager.set_current_thread(7)  # type: ignore[arg-type]  # an id is a text
    async for message in manager.iter_messages(after_sequence=3):
        assert_type(message, ChatMessage)
    assert_type(await manager.repository.delete_message("m-1"), bool)
    history = ConversationHistory(state_manager=manager, persist_to_db=True)
    history.add_user_message("Hello")
    history.add_user_message()  # type: ignore[call-arg]  # the content is missing
    await history.add("user", "Hello", {"mood": "good"})
