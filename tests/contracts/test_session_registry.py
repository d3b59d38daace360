"""What the session registry promises, on every store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chatstore_cli.core.session_registry import memory, rules
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.errors import BadValue, Conflict, PrerequisiteRefused
from chatstore_cli.domain.session_registry import KEPT_SWITCHES, RegistryStore, Switch
from chatstore_cli.mongo.session_registry import store as mongo_store
from tests.support.registry_stores import NOON, STORES, Guard, Ticking, statuses, store_of


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> RegistryStore:
    """An empty store."""
    return store_of(request)


@pytest.fixture
def registry(store: RegistryStore) -> SessionRegistry:
    """A registry over the store, with the workflows c1 (paused) and c2 (active) of the connection ws-1."""
    registry = SessionRegistry(store, clock=Ticking())
    registry.add_workflow("ws-1", "c1", "Generator", "acme", "ann", "artifact-1")
    registry.add_workflow("ws-1", "c2", "Investor", "acme", "ann")
    return registry


def newest(registry: SessionRegistry, ws_id: str = "ws-1") -> Switch:
    """The newest switch."""
    return registry.history(ws_id, 1)[0]


def test_a_started_workflow_is_active_and_pauses_the_others(registry: SessionRegistry) -> None:
    started = registry.add_workflow("ws-1", "c3", "Portal", "acme", "ann", artifact_id="artifact-3")
    assert started is not None
    assert list(started.to_dict()) == [
        "chat_id", "workflow_name", "app_id", "user_id", "artifact_id", "status", "created_at", "last_active",
    ]  # fmt: skip
    assert started.to_dict() == {
        "chat_id": "c3",
        "workflow_name": "Portal",
        "app_id": "acme",
        "user_id": "ann",
        "artifact_id": "artifact-3",
        "status": "active",
        "created_at": "2026-03-02T12:03:00+00:00",
        "last_active": "2026-03-02T12:03:00+00:00",
    }
    assert statuses(registry, "ws-1") == {"c1": "paused", "c2": "paused", "c3": "active"}
    assert registry.get_active_workflow("ws-1") == registry.get_workflow_by_chat_id("ws-1", "c3") == started


def test_a_workflow_can_be_added_without_activating_it(registry: SessionRegistry) -> None:
    added = registry.add_workflow("ws-1", "c3", "Portal", "acme", "ann", auto_activate=False)
    assert added is not None
    assert added.status == "paused"
    assert statuses(registry, "ws-1") == {"c1": "paused", "c2": "active", "c3": "paused"}


def test_a_workflow_that_is_added_again_becomes_active_and_keeps_its_artifact(registry: SessionRegistry) -> None:
    again = registry.add_workflow("ws-1", "c1", "Generator", "acme", "ann")
    assert again is not None
    assert (again.artifact_id, again.status) == ("artifact-1", "active")
    assert again.created_at == NOON + timedelta(minutes=1)
    assert again.last_active == NOON + timedelta(minutes=3)
    other = registry.add_workflow("ws-1", "c1", "Generator", "acme", "ann", "artifact-9", auto_activate=False)
    assert other is not None
    assert (other.artifact_id, other.status) == ("artifact-9", "active")
    assert list(statuses(registry, "ws-1")) == ["c1", "c2"]


def test_a_switch_keeps_the_artifact_of_the_workflow(registry: SessionRegistry) -> None:
    switched = registry.switch_workflow("ws-1", "c1")
    assert switched is not None
    assert switched.artifact_id == "artifact-1"
    assert statuses(registry, "ws-1") == {"c1": "active", "c2": "paused"}
    assert newest(registry) == Switch("switch", "ws-1", "c2", "c1", NOON + timedelta(minutes=3), 3)


def test_general_mode_pauses_all_until_a_workflow_becomes_active(registry: SessionRegistry) -> None:
    registry.enter_general_mode("ws-1")
    assert registry.is_in_general_mode("ws-1")
    assert registry.get_active_workflow("ws-1") is None
    assert statuses(registry, "ws-1") == {"c1": "paused", "c2": "paused"}
    registry.enter_general_mode("ws-1")
    assert newest(registry).version == 3  # nothing changed the second time
    registry.switch_workflow("ws-1", "c2")
    assert not registry.is_in_general_mode("ws-1")


def test_general_mode_can_be_entered_before_any_workflow(store: RegistryStore) -> None:
    registry = SessionRegistry(store)
    registry.attach("ws-1", "acme", "ann", "tab")
    registry.enter_general_mode("ws-1")
    assert registry.is_in_general_mode("ws-1")


# --- the traps of the original ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chat_id", ["unknown", "c3"])
def test_a_switch_that_fails_pauses_nothing(registry: SessionRegistry, chat_id: str) -> None:
    registry.add_workflow("ws-1", "c3", "Portal", "acme", "ann")
    registry.complete_workflow("ws-1", "c3")
    registry.switch_workflow("ws-1", "c2")
    before = registry.get_all_workflows("ws-1")
    version = newest(registry).version
    assert registry.switch_workflow("ws-1", chat_id) is None
    assert registry.get_all_workflows("ws-1") == before
    active = registry.get_active_workflow("ws-1")
    assert active is not None
    assert active.chat_id == "c2"
    failed = newest(registry)
    assert (failed.from_chat_id, failed.to_chat_id, failed.version) == ("c2", chat_id, version)
    assert failed.refused == {"unknown": rules.UNKNOWN_WORKFLOW, "c3": rules.COMPLETED_WORKFLOW}[chat_id]


def test_no_trace_of_the_workflow_that_was_active_remains(registry: SessionRegistry) -> None:
    registry.enter_general_mode("ws-1")
    registry.switch_workflow("ws-1", "unknown")
    assert registry.get_active_workflow("ws-1") is None
    assert registry.is_in_general_mode("ws-1")
    assert newest(registry).from_chat_id is None


def test_completing_the_active_workflow_leaves_none_active_and_does_not_enter_general_mode(
    registry: SessionRegistry,
) -> None:
    registry.complete_workflow("ws-1", "c2")
    assert registry.get_active_workflow("ws-1") is None
    assert not registry.is_in_general_mode("ws-1")
    assert statuses(registry, "ws-1") == {"c1": "paused", "c2": "completed"}
    registry.complete_workflow("ws-1", "c2")
    assert newest(registry).version == 3
    registry.complete_workflow("ws-1", "unknown")
    assert newest(registry).refused == rules.UNKNOWN_WORKFLOW


def test_a_completed_workflow_cannot_be_started_again(registry: SessionRegistry) -> None:
    registry.complete_workflow("ws-1", "c2")
    registry.switch_workflow("ws-1", "c1")
    before = registry.get_all_workflows("ws-1")
    assert registry.add_workflow("ws-1", "c2", "Investor", "acme", "ann", "artifact-2") is None
    assert registry.get_all_workflows("ws-1") == before


def test_a_second_tab_shares_the_state_and_detaches_no_other_tab(store: RegistryStore) -> None:
    registry = SessionRegistry(store)
    registry.attach("tab-1", "acme", "ann", "laptop")
    registry.attach("tab-2", "acme", "ann", "laptop")
    registry.add_workflow("tab-1", "c1", "Generator", "acme", "ann")
    registry.add_workflow("tab-2", "c2", "Investor", "acme", "ann")
    assert statuses(registry, "tab-1") == statuses(registry, "tab-2") == {"c1": "paused", "c2": "active"}
    registry.remove_session("tab-2")
    assert registry.get_all_workflows("tab-2") == []
    registry.switch_workflow("tab-1", "c1")
    assert [each.connection for each in registry.history("tab-1")] == ["tab-1", "tab-2", "tab-1"]


def test_an_unknown_connection_has_nothing_and_is_not_in_general_mode(store: RegistryStore) -> None:
    registry = SessionRegistry(store)
    registry.enter_general_mode("unknown")
    assert not registry.is_in_general_mode("unknown")
    assert registry.switch_workflow("unknown", "c1") is None
    registry.complete_workflow("unknown", "c1")
    registry.remove_session("unknown")
    assert registry.get_active_workflow("unknown") is None
    assert registry.get_workflow_by_chat_id("unknown", "c1") is None
    assert (registry.get_all_workflows("unknown"), registry.history("unknown")) == ([], [])


# --- client sessions and connections -----------------------------------------------------------------------------------


def test_a_reconnect_and_another_process_continue_with_the_same_state(store: RegistryStore) -> None:
    registry = SessionRegistry(store)
    registry.attach("ws-1", "acme", "ann", "laptop")
    registry.add_workflow("ws-1", "c1", "Generator", "acme", "ann", "artifact-1")
    registry.enter_general_mode("ws-1")
    registry.remove_session("ws-1")
    for process in (registry, SessionRegistry(store)):
        process.attach("ws-2", "acme", "ann", "laptop")
        assert process.is_in_general_mode("ws-2")
        found = process.get_workflow_by_chat_id("ws-2", "c1")
        assert found is not None
        assert (found.artifact_id, found.status) == ("artifact-1", "paused")


def test_client_sessions_are_independent(store: RegistryStore) -> None:
    registry = SessionRegistry(store, clock=Ticking())
    owners = [
        ("acme", "ann", "k"),
        ("acme", "ann", "l"),
        ("acme", "bob", "k"),
        ("other", "ann", "k"),
        ("ac", "meann", "k"),
    ]
    for number, owner in enumerate(owners):
        registry.attach(f"ws-{number}", *owner)
        registry.add_workflow(f"ws-{number}", f"c{number}", "Generator", *owner[:2])
    for number in range(len(owners)):
        assert statuses(registry, f"ws-{number}") == {f"c{number}": "active"}
    assert [each.session for each in registry.client_sessions("acme", "ann")] == [owners[1], owners[0]]
    sizes = {limit: len(registry.client_sessions("acme", "ann", limit)) for limit in (-1, 0, 1, 2**70)}
    assert sizes == {-1: 0, 0: 0, 1: 1, 2**70: 2}


def test_a_connection_can_be_attached_again_and_belongs_to_one_user(registry: SessionRegistry) -> None:
    with pytest.raises(Conflict, match="another tenant or user"):
        registry.add_workflow("ws-1", "c9", "Generator", "acme", "bob")
    registry.attach("ws-1", "acme", "bob")
    assert registry.get_all_workflows("ws-1") == []
    registry.attach("ws-1", "acme", "ann")
    assert statuses(registry, "ws-1") == {"c1": "paused", "c2": "active"}


HOSTILE = ["a.b", "$set", "$secret", "nul\0nul", "ü" * 1_000, "x:y", "[]", '["a"]', "\u202e", " "]


def test_any_text_is_an_id(store: RegistryStore) -> None:
    registry = SessionRegistry(store)
    for text in HOSTILE:
        registry.attach(text, text, text, text)
        registry.add_workflow(text, text, text, text, text, text)
        registry.add_workflow(text, "other", text, text, text)
        switched = registry.switch_workflow(text, text)
        assert switched is not None
        assert (switched.chat_id, switched.app_id, switched.user_id, switched.artifact_id) == (text,) * 4
        assert statuses(registry, text) == {text: "active", "other": "paused"}
        assert [each.to_chat_id for each in registry.history(text)] == [text, "other", text]


@pytest.mark.parametrize("value", ["", None, 7, "x" * 4_001, "\ud800", b"x"])
def test_what_cannot_be_an_id_is_rejected(store: RegistryStore, value: object) -> None:
    registry = SessionRegistry(store)
    for call in (
        lambda: registry.attach("ws", value, "ann"),
        lambda: registry.attach("ws", "acme", value),
        lambda: registry.attach(value, "acme", "ann"),
        lambda: registry.add_workflow("ws", value, "Generator", "acme", "ann"),
        lambda: registry.switch_workflow("ws", value),
    ):
        with pytest.raises(BadValue):
            call()


# --- the audit ---------------------------------------------------------------------------------------------------------


def test_the_newest_switches_are_kept(store: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT_SWITCHES == 500
    for module in (memory, mongo_store):
        monkeypatch.setattr(module, "KEPT_SWITCHES", 5)
    registry = SessionRegistry(store)
    registry.attach("ws-1", "acme", "ann", "few")
    for number in range(9):
        registry.add_workflow("ws-1", f"c{number % 2}", "Generator", "acme", "ann")
    switches = registry.history("ws-1", 2**70)
    assert [each.version for each in switches] == [9, 8, 7, 6, 5]
    assert registry.history("ws-1", 3) == switches[:3]
    assert (registry.history("ws-1", 0), registry.history("ws-1", -1)) == ([], [])


def test_of_too_many_workflows_the_one_that_was_completed_first_is_left_out(
    store: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_WORKFLOWS", 3)
    registry = SessionRegistry(store, clock=Ticking())
    for chat_id in ("c1", "c2", "c3"):
        registry.add_workflow("ws", chat_id, "Generator", "acme", "ann")
    registry.complete_workflow("ws", "c2")
    registry.complete_workflow("ws", "c1")
    registry.add_workflow("ws", "c4", "Generator", "acme", "ann")
    assert statuses(registry, "ws") == {"c1": "completed", "c3": "paused", "c4": "active"}


def test_if_none_is_completed_the_workflow_that_is_paused_longest_is_left_out_and_can_return(
    store: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_WORKFLOWS", 3)
    registry = SessionRegistry(store, clock=Ticking())
    for chat_id in ("c1", "c2", "c3"):
        registry.add_workflow("ws", chat_id, "Generator", "acme", "ann")
    registry.switch_workflow("ws", "c1")
    registry.add_workflow("ws", "c4", "Generator", "acme", "ann", auto_activate=False)
    assert statuses(registry, "ws") == {"c1": "active", "c3": "paused", "c4": "paused"}
    registry.add_workflow("ws", "c2", "Generator", "acme", "ann")
    assert statuses(registry, "ws") == {"c1": "paused", "c4": "paused", "c2": "active"}


# --- prerequisites -----------------------------------------------------------------------------------------------------


def test_a_refusal_changes_nothing_but_the_audit(store: RegistryStore) -> None:
    guard = Guard()
    registry = SessionRegistry(store, prerequisites=guard)
    registry.attach("ws", "acme", "ann", "laptop")
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    registry.add_workflow("ws", "c2", "Investor", "acme", "ann", "artifact-2", auto_activate=False)
    before = registry.get_all_workflows("ws")
    guard.reason = "finish the Generator first"
    for call, action in (
        (lambda: registry.switch_workflow("ws", "c2"), "switch"),
        (lambda: registry.add_workflow("ws", "c2", "Investor", "acme", "ann"), "switch"),
        (lambda: registry.add_workflow("ws", "c3", "Portal", "acme", "ann"), "start"),
        (lambda: registry.add_workflow("ws", "c3", "Portal", "acme", "ann", auto_activate=False), "add"),
    ):
        with pytest.raises(PrerequisiteRefused, match="refused: finish the Generator first") as refused:
            call()
        assert refused.value.exit_code == 8
        assert (newest(registry, "ws").action, newest(registry, "ws").refused) == (action, guard.reason)
        assert newest(registry, "ws").version == 2
    assert registry.get_all_workflows("ws") == before
    assert [(each.action, each.chat_id, each.artifact_id) for each in guard.asked] == [
        ("start", "c1", None),
        ("start", "c2", "artifact-2"),
        ("switch", "c2", "artifact-2"),
        ("switch", "c2", "artifact-2"),
        ("start", "c3", None),
        ("start", "c3", None),
    ]
    assert guard.asked[0].session_key == "laptop"


def test_the_first_start_can_be_refused_and_is_recorded(store: RegistryStore) -> None:
    guard = Guard("no")
    registry = SessionRegistry(store, prerequisites=guard, clock=Ticking())
    with pytest.raises(PrerequisiteRefused):
        registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    assert registry.get_all_workflows("ws") == []
    assert registry.history("ws") == [Switch("start", "ws", None, "c1", NOON + timedelta(minutes=1), 0, "no")]
    assert [each.updated_at for each in registry.client_sessions("acme", "ann")] == [NOON + timedelta(minutes=1)]
    guard.reason = None
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    assert statuses(registry, "ws") == {"c1": "active"}
    assert [each.version for each in registry.history("ws")] == [1, 0]


def test_prerequisites_are_not_asked_about_another_artifact_of_the_active_workflow(store: RegistryStore) -> None:
    guard = Guard()
    registry = SessionRegistry(store, prerequisites=guard)
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann", "artifact-1")
    guard.reason = "no"
    changed = registry.add_workflow("ws", "c1", "Generator", "acme", "ann", "artifact-2", auto_activate=False)
    assert changed is not None
    assert (changed.artifact_id, changed.status) == ("artifact-2", "active")
    assert len(guard.asked) == 1


def test_prerequisites_are_not_asked_about_what_the_rules_refuse_or_do_not_activate(store: RegistryStore) -> None:
    guard = Guard()
    registry = SessionRegistry(store, prerequisites=guard)
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    registry.complete_workflow("ws", "c1")
    registry.switch_workflow("ws", "c1")
    registry.switch_workflow("ws", "unknown")
    registry.enter_general_mode("ws")
    assert len(guard.asked) == 1


def test_prerequisites_are_asked_once_and_the_rules_apply_to_what_changed_meanwhile(store: RegistryStore) -> None:
    guard = Guard()
    registry, other = SessionRegistry(store, prerequisites=guard), SessionRegistry(store)
    other.attach("ws-2", "acme", "ann", "ws-1")
    other.add_workflow("ws-2", "c1", "Generator", "acme", "ann")
    other.add_workflow("ws-2", "c2", "Investor", "acme", "ann")
    registry.attach("ws-1", "acme", "ann")
    guard.meanwhile = lambda: other.enter_general_mode("ws-2")
    registry.switch_workflow("ws-1", "c1")
    assert len(guard.asked) == 1
    assert not registry.is_in_general_mode("ws-1")
    assert [each.connection for each in registry.history("ws-1", 2)] == ["ws-1", "ws-2"]
    guard.meanwhile = lambda: other.complete_workflow("ws-2", "c2")
    assert registry.switch_workflow("ws-1", "c2") is None
    assert newest(registry).refused == rules.COMPLETED_WORKFLOW
    assert statuses(registry, "ws-1") == {"c1": "active", "c2": "completed"}


def test_a_refusal_is_stored_although_the_entry_changed_meanwhile(store: RegistryStore) -> None:
    guard = Guard()
    registry, other = SessionRegistry(store, prerequisites=guard), SessionRegistry(store)
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    other.attach("ws-2", "acme", "ann", "ws")
    guard.reason = "no"
    guard.meanwhile = lambda: other.enter_general_mode("ws-2")
    with pytest.raises(PrerequisiteRefused):
        registry.switch_workflow("ws", "c1")
    assert [(each.version, each.refused) for each in registry.history("ws")] == [(2, "no"), (2, None), (1, None)]
