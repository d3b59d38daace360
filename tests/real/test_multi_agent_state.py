"""A property of the whole multi-agent state: after any steps, interruptions included, it is what a simple model says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatstore_cli.domain.errors import Conflict, NotFound, OtherTenant, PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import MixedTurn, TranscriptSource
from tests.support.interrupted_commands import AFTER, BEFORE, Interrupted
from tests.support.multi_agent_checks import check_owner, positions_of
from tests.support.multi_agent_model import (
    BLOCKED,
    NOTHING,
    OWNERS,
    REFUSED,
    WORKFLOWS,
    ClientState,
    Model,
    Owner,
    SessionModel,
    Turn,
    session_of,
)
from tests.support.multi_agent_platform import (
    CONNECTIONS,
    Fault,
    Platform,
    Process,
    deliver,
    platform_of,
    process_of,
)

NO_ANSWER: Any = object()
"""What a client has of a call that was interrupted."""

DETACHED = "no client session"

owners = st.integers(0, len(OWNERS) - 1)
"""The place of an owner among those that a run has."""

workflows = st.sampled_from(WORKFLOWS)
connections = st.sampled_from(CONNECTIONS)
processes = st.sampled_from((0, 1))
faults = st.one_of(st.none(), st.builds(Fault, st.integers(1, 8), st.sampled_from((BEFORE, AFTER)), st.booleans()))
tokens = st.integers(0, 40)
costs = st.sampled_from((None, Decimal(0), Decimal("0.25"), Decimal("1.5")))


class MultiAgentState(RuleBasedStateMachine):
    """Two processes and their clients. `touched` is the owner whose state the last step could change."""

    sessions, messages, turns = Bundle("sessions"), Bundle("messages"), Bundle("turns")

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self.platform, self.model = platform, Model()
        platform.begin(self.model)
        self.owners: list[Owner] = []
        self.touched: Owner | None = None
        self.names = count(1)
        self.interrupted_creations: Counter[Owner] = Counter()

    @initialize(target=sessions, used=st.lists(st.sampled_from(OWNERS), min_size=1, max_size=3, unique=True))
    def begin(self, used: list[Owner]) -> Any:
        """Few owners have many steps each. Their connections are tabs of one client session each."""
        self.owners = used
        for place, connection in enumerate(CONNECTIONS):
            self.attach(connection, place, "laptop")
            self.start_workflow(connection, place, WORKFLOWS[place % 2], None, True, None)
        places = range(len(used))
        started = [self.start_general_chat(place, 0, None) for place in places]
        started += [self.begin_workflow_session(place, WORKFLOWS[0], 0, None) for place in places]
        for process in (0, 1):  # the turns of sessions alternate, and each process has written to each session
            for source in started:
                self.say(source, process, None, True, 0)
        return multiple(*started)

    def owner(self, number: int) -> Owner:
        """One of the owners of this run."""
        return self.owners[number % len(self.owners)]

    # --- calls that may be interrupted --------------------------------------------------------------------------------

    def attempt(self, call: Callable[[Process], Any], process: int, fault: Fault | None) -> Any:
        """The result of a call, or NO_ANSWER if it was interrupted."""
        if fault is None:
            return call(self.platform.processes[process])
        try:
            with self.platform.interruption.at(fault.command, fault.instant):
                return call(self.platform.processes[process])
        except Interrupted:
            if fault.ends_process:
                self.platform.restart(process)
            return NO_ANSWER

    def repeated(self, call: Callable[[Process], Any], process: int, fault: Fault | None) -> Any:
        """The result of a call that the client repeats if it is interrupted."""
        result = self.attempt(call, process, fault)
        return call(self.platform.processes[process]) if result is NO_ANSWER else result

    def session(self, source: TranscriptSource) -> SessionModel:
        """A session of the model, also a deleted one."""
        session = self.model.sessions.get(source) or self.model.deleted[source]
        self.touched = session.owner
        return session

    # --- sessions and messages ----------------------------------------------------------------------------------------

    @rule(target=sessions, number=owners, process=processes, fault=faults)
    def start_general_chat(self, number: int, process: int, fault: Fault | None) -> TranscriptSource:
        owner = self.touched = self.owner(number)

        def create(process: Process) -> Any:
            return process.manager.create_general_chat_session(**owner._asdict())

        chat = self.attempt(create, process, fault)
        if chat is NO_ANSWER:  # the client looks whether there is a new chat
            self.interrupted_creations[owner] += 1
            listed = self.platform.processes[process].manager.list_general_chats(**owner._asdict())
            new = [each for each in listed if TranscriptSource("general", each["chat_id"]) not in self.model.sessions]
            assert len(new) <= 1
            chat = new[0] if new else create(self.platform.processes[process])
        source, highest = TranscriptSource("general", chat["chat_id"]), self.model.highest_number(owner)
        assert source not in {**self.model.sessions, **self.model.deleted}
        assert highest < chat["sequence"] <= highest + 1 + self.interrupted_creations[owner]
        assert chat["label"] == f"General Chat #{chat['sequence']}"
        self.model.sessions[source] = SessionModel(source, owner, chat["sequence"])
        return source

    @rule(target=sessions, number=owners, workflow=workflows, process=processes, fault=faults)
    def begin_workflow_session(self, number: int, workflow: str, process: int, fault: Fault | None) -> Any:
        owner = self.touched = self.owner(number)
        source = session_of(owner, workflow)
        names = {"enterprise_id": owner.app_id, "user_id": owner.user_id, "workflow_name": workflow}

        def create(process: Process) -> Any:
            return process.manager.create_session(source.session_id, **names)

        if source in self.model.deleted:
            with pytest.raises(Conflict):
                self.repeated(create, process, fault)
            return multiple()
        self.repeated(create, process, fault)
        self.model.sessions.setdefault(source, SessionModel(source, owner))
        return source

    @rule(
        target=messages, source=sessions, process=processes, fault=faults, is_named=st.booleans(),
        before=st.integers(0, 2),
    )  # fmt: skip
    def say(self, source: TranscriptSource, process: int, fault: Fault | None, is_named: bool, before: int) -> Any:
        """A message. The other process stores some just before."""
        if source in self.model.sessions:
            for _ in range(before):
                self.say(source, 1 - process, None, True, 0)
        session, number = self.session(source), next(self.names)
        content = f"message {number}"
        event_id = f"event-{number}" if is_named or source.layout == "workflow" else None

        def append(process: Process) -> Any:
            return deliver(process, session, content, event_id)

        if source in self.model.deleted:
            with pytest.raises(Conflict):
                self.repeated(append, process, fault)
            return multiple()
        if event_id is not None:
            self.repeated(append, process, fault)
        elif self.attempt(append, process, fault) is NO_ANSWER:  # the client does not repeat what it cannot name
            stored = self.stored_contents(source)
            assert stored in (session.contents, [*session.contents, content])
            session.contents = stored
            return multiple()
        session.contents.append(content)
        if event_id is None:
            return multiple()
        session.event_ids[content] = event_id
        return source, content, event_id

    @rule(message=messages, process=processes, fault=faults)
    def deliver_again(self, message: tuple[TranscriptSource, str, str], process: int, fault: Fault | None) -> None:
        source, content, event_id = message
        session = self.session(source)

        def append(process: Process) -> Any:
            return deliver(process, session, content, event_id)

        if source in self.model.deleted:
            with pytest.raises(Conflict):
                self.repeated(append, process, fault)
            return
        answer = self.repeated(append, process, fault)
        sequence = answer["sequence"] if source.layout == "general" else answer.sequence
        assert sequence in (None, session.contents.index(content) + 1)

    @rule(source=consumes(sessions), process=processes, fault=faults)
    def delete(self, source: TranscriptSource, process: int, fault: Fault | None) -> None:
        session = self.session(source)
        if source not in self.model.deleted:
            self.repeated(lambda _: self.platform.delete(source), process, fault)
            self.model.delete(source)
        with pytest.raises(NotFound):
            self.platform.processes[process].manager.replay([source], app_id=session.owner.app_id)

    @precondition(lambda self: self.platform.has_segments)
    @rule(source=sessions, keep=st.integers(0, 2), process=processes, fault=faults)
    def move_to_segments(self, source: TranscriptSource, keep: int, process: int, fault: Fault | None) -> None:
        """The oldest message, which is in a segment then, is delivered again."""
        session = self.session(source)
        if source in self.model.sessions:
            self.repeated(lambda _: self.platform.move(source, keep), process, fault)
            for content, event_id in [*session.event_ids.items()][:1]:
                self.deliver_again((source, content, event_id), process, None)

    @rule(what=st.sampled_from(("restart 0", "restart 1", "lose counters", *WORKFLOWS)))
    def change_surroundings(self, what: str) -> None:
        """A process ends and starts again, a restore loses the counters, or the prerequisites of a workflow change."""
        if what in WORKFLOWS:
            self.model.blocked ^= {what}
        elif what == "lose counters":
            self.platform.lose("GeneralChatCounters")
        else:
            self.platform.restart(int(what[-1]))

    def stored_contents(self, source: TranscriptSource) -> list[Any]:
        """The contents of a session's messages, from the beginning."""
        owner = self.session(source).owner
        manager = self.platform.processes[0].manager
        return [turn.message.content for turn in manager.mixed_transcript([source], app_id=owner.app_id)]

    # --- usage --------------------------------------------------------------------------------------------------------

    def count(self, source: TranscriptSource, turn: Turn, turn_id: str | None) -> Callable[[Process], None]:
        """The call that reports a turn."""
        owner, chat_id = self.session(source).owner, source.session_id

        def report(process: Process) -> None:
            process.manager.update_session_metrics(
                chat_id, owner.user_id, "Generator", *turn, owner.app_id, session_type=source.layout, turn_id=turn_id
            )

        return report

    @precondition(lambda self: self.platform.counts_usage)
    @rule(
        target=turns, source=sessions, prompt=tokens, completion=tokens, cost=costs, is_repeated=st.booleans(),
        is_named=st.booleans(), process=processes, fault=faults,
    )  # fmt: skip
    def count_turn(
        self, source: TranscriptSource, prompt: int, completion: int, cost: Decimal | None, is_named: bool,
        is_repeated: bool, process: int, fault: Fault | None,
    ) -> Any:  # fmt: skip
        session, turn_id = self.session(source), f"turn {next(self.names)}" if is_named else None
        reported = Turn(prompt, completion, cost)
        report = self.count(source, reported, turn_id)
        if source in self.model.deleted:
            with pytest.raises(NotFound):
                self.repeated(report, process, fault)
            return multiple()
        is_free = source.layout == "general" and prompt + completion > 0 and not cost
        turn = Turn(prompt, completion, None if is_free else cost)
        if turn_id is not None:
            self.repeated(report, process, fault)
        elif self.attempt(report, process, fault) is NO_ANSWER:
            before = session.usage
            session.turns.append(turn)
            stored = self.platform.reported_usage(session.owner).get(source)
            if stored != session.usage:
                session.turns.pop()
                assert stored == (before if any(before) else None)
            session.counters_are_current = False
            return multiple()
        session.turns.append(turn)
        session.counters_are_current = True
        if turn_id is None:
            return multiple()
        if is_repeated:
            report(self.platform.processes[1 - process])
        return source, reported, turn_id

    @precondition(lambda self: self.platform.counts_usage)
    @rule(named=turns, process=processes, fault=faults, is_changed=st.booleans())
    def count_again(
        self, named: tuple[TranscriptSource, Turn, str], process: int, fault: Fault | None, is_changed: bool
    ) -> None:
        source, turn, turn_id = named
        report = self.count(source, turn._replace(prompt=turn.prompt + 1) if is_changed else turn, turn_id)
        if source in self.model.deleted or is_changed:
            with pytest.raises(NotFound if source in self.model.deleted else Conflict):
                self.repeated(report, process, fault)
        else:
            self.repeated(report, process, fault)

    # --- the session registry -----------------------------------------------------------------------------------------

    @rule(connection=connections, number=owners, key=st.sampled_from(("laptop", "phone", None, DETACHED)))
    def attach(self, connection: str, number: int, key: str | None) -> None:
        owner, registry = self.owner(number), self.platform.processes[process_of(connection)].registry
        if key == DETACHED:
            registry.remove_session(connection)
            self.model.connections.pop(connection, None)
        else:
            registry.attach(connection, *owner, key)
            self.model.connections[connection] = (owner, key or connection)

    @rule(
        connection=connections, number=owners, workflow=workflows, artifact=st.sampled_from((None, "a-1", "a-2")),
        activate=st.booleans(), fault=faults,
    )  # fmt: skip
    def start_workflow(
        self, connection: str, number: int, workflow: str, artifact: str | None, activate: bool, fault: Fault | None
    ) -> None:
        owner, _ = self.model.connections.setdefault(connection, (self.owner(number), connection))
        chat = session_of(owner, workflow).session_id

        def start(process: Process) -> Any:
            return process.registry.add_workflow(connection, chat, workflow, *owner, artifact, activate)

        is_blocked = workflow in self.model.blocked
        self.switched(
            connection,
            start,
            fault,
            lambda state: state.start(chat, artifact, activate=activate, is_blocked=is_blocked),
        )

    @rule(connection=connections, stranger=st.sampled_from(OWNERS))
    def refuse_the_connection_of_another(self, connection: str, stranger: Owner) -> None:
        registry = self.platform.processes[process_of(connection)].registry
        if self.model.connections.get(connection, (stranger, ""))[0] != stranger:
            with pytest.raises(Conflict):
                registry.add_workflow(connection, "foreign", "Generator", *stranger)

    @rule(connection=connections, workflow=workflows, fault=faults)
    def switch_workflow(self, connection: str, workflow: str, fault: Fault | None) -> None:
        owner, _ = self.model.connections.get(connection, (OWNERS[0], ""))
        chat, is_blocked = session_of(owner, workflow).session_id, workflow in self.model.blocked
        self.switched(
            connection, lambda process: process.registry.switch_workflow(connection, chat), fault,
            lambda state: state.switch(chat, is_blocked=is_blocked),
        )  # fmt: skip

    @rule(connection=connections, workflow=workflows, fault=faults)
    def complete_workflow(self, connection: str, workflow: str, fault: Fault | None) -> None:
        owner, _ = self.model.connections.get(connection, (OWNERS[0], ""))
        chat = session_of(owner, workflow).session_id
        self.switched(
            connection, lambda process: process.registry.complete_workflow(connection, chat), fault,
            lambda state: state.complete(chat),
        )  # fmt: skip

    @rule(connection=connections, fault=faults)
    def enter_general_mode(self, connection: str, fault: Fault | None) -> None:
        self.switched(
            connection, lambda process: process.registry.enter_general_mode(connection), fault,
            ClientState.enter_general_mode,
        )  # fmt: skip

    def switched(
        self, connection: str, call: Callable[[Process], Any], fault: Fault | None, rule: Callable[[ClientState], str]
    ) -> None:
        """Make a call to the registry, compare its answer with the model's, and what it has recorded."""
        state, process = self.model.state(connection), process_of(connection)
        if state is None:
            assert self.repeated(call, process, fault) is None
            assert not self.platform.processes[process].registry.is_in_general_mode(connection)
            return
        self.touched = self.model.connections[connection][0]
        outcome = rule(state)
        if outcome == BLOCKED:
            with pytest.raises(PrerequisiteRefused, match="not paid"):
                self.repeated(call, process, fault)
        else:
            answer = self.repeated(call, process, fault)
            assert not (outcome == REFUSED and answer), "a refused switch returns nothing"
        registry = self.platform.processes[process].registry
        stored = [(each.to_chat_id, each.refused is not None) for each in reversed(registry.history(connection, 500))]
        if fault is not None and outcome != NOTHING and stored == [*state.switches, state.switches[-1]]:
            state.switches.append(state.switches[-1])  # the interrupted call had taken effect
        assert stored == state.switches
        assert registry.is_in_general_mode(connection) == state.general_mode
        active = registry.get_active_workflow(connection)
        assert (None if active is None else active.chat_id) == state.active

    # --- clients ------------------------------------------------------------------------------------------------------

    @rule(number=owners, which=st.integers(0, 1), most=st.one_of(st.none(), st.integers(0, 6)), process=processes)
    def reconnect(self, number: int, which: int, most: int | None, process: int) -> None:
        """A client receives what it does not have. The connection may break after some turns."""
        owner = self.owner(number)
        sources, client = list(self.model.of(owner)), self.model.clients[owner][which]
        if not sources:
            return
        self.touched = owner
        manager = self.platform.processes[process].manager
        for record in islice(manager.replay(sources, **owner._asdict(), positions=positions_of(client)), most):
            if isinstance(record, MixedTurn):
                place = client.received.get(record.source, 0)
                assert record.message.content == self.model.sessions[record.source].contents[place]
                client.received[record.source] = place + 1
            else:
                assert record.positions.keys() == set(sources)

    @rule(source=sessions, stranger=st.sampled_from(OWNERS), process=processes)
    def refuse_strangers(self, source: TranscriptSource, stranger: Owner, process: int) -> None:
        session, manager = self.session(source), self.platform.processes[process].manager
        if stranger == session.owner or source in self.model.deleted:
            return
        with pytest.raises(NotFound):
            manager.replay([source], **stranger._asdict())
        foreign = SessionModel(source, stranger)
        if source.layout == "general":
            with pytest.raises(NotFound):
                deliver(self.platform.processes[process], foreign, "foreign", "foreign")
        if stranger.app_id != session.owner.app_id:
            with pytest.raises((NotFound, OtherTenant)):
                deliver(self.platform.processes[process], foreign, "foreign", "foreign")
            transcript = manager.fetch_general_chat_transcript(
                general_chat_id=source.session_id, app_id=stranger.app_id
            )
            assert transcript is None
            with pytest.raises((NotFound, OtherTenant)):
                manager.update_session_metrics(
                    source.session_id, stranger.user_id, "", 5, 5, None, stranger.app_id, session_type=source.layout
                )

    # --- what holds after each step -----------------------------------------------------------------------------------

    @invariant()
    def the_state_is_that_of_the_model(self) -> None:
        """Of the two clients of an owner one is enough for a step: the other one is checked after the next."""
        touched, self.touched = self.touched, None
        if touched is not None:
            clients = self.model.clients[touched]
            clients.reverse()
            check_owner(self.platform, touched, clients[:1])

    def teardown(self) -> None:
        for owner in self.owners:
            check_owner(self.platform, owner, self.model.clients[owner])


class KilledProcesses(MultiAgentState):
    """The same, but the calls that are interrupted are made by processes that are killed."""

    def attempt(self, call: Callable[[Process], Any], process: int, fault: Fault | None) -> Any:
        """The result of a call, or NO_ANSWER if a process of its own made it, killed or not."""
        if fault is None:
            return call(self.platform.processes[process])
        self.platform.call_and_kill(call, process, fault)
        if fault.ends_process:
            self.platform.restart(process)
        return NO_ANSWER


@pytest.mark.parametrize("in_memory", [True, pytest.param(False, marks=pytest.mark.real)], ids=["memory", "real"])
def test_after_any_steps_the_state_is_that_of_the_model(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    platform = platform_of(request, monkeypatch, in_memory=in_memory)
    examples, steps = (8, 50) if in_memory else (4, 35)
    if request.config.getoption("--soak"):
        examples, steps = 400, 60
    run_state_machine_as_test(
        lambda: MultiAgentState(platform), settings=settings(max_examples=examples, stateful_step_count=steps)
    )


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.timeout(1800)
def test_after_any_kills_the_state_is_that_of_the_model(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = platform_of(request, monkeypatch, in_memory=False)
    run_state_machine_as_test(
        lambda: KilledProcesses(platform),
        settings=settings(max_examples=20, stateful_step_count=40, derandomize=True, database=None),
    )
