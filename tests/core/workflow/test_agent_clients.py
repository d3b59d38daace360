"""By how much clients have grown: replaced, cleared, shared, collected and damaged ones, in and out of watched blocks."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from chatstore_cli.core.workflow.agent_clients import ALL_CLIENTS, AgentClients, Amounts, Watched, agents_in
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.usage import Usage


class Client:
    """Counts as AG2's client does: it adds to its two summaries until it is cleared."""

    def __init__(self) -> None:
        self.clear_usage_summary()

    def clear_usage_summary(self) -> None:
        self.actual_usage_summary: Any = None
        self.total_usage_summary: Any = None

    def use(self, tokens: int, model: str = "m", *, is_cached: bool = False) -> None:
        """Use 10 prompt tokens for each completion token; a thousand tokens cost 1."""
        for kind in ("total",) if is_cached else ("actual", "total"):
            summary = getattr(self, f"{kind}_usage_summary") or {"total_cost": 0}
            before = summary.get(model, {})
            more = {"prompt_tokens": tokens - tokens // 11, "completion_tokens": tokens // 11, "total_tokens": tokens}
            more["cost"] = Decimal(tokens) / 1000
            summary[model] = {name: before.get(name, 0) + number for name, number in more.items()}
            setattr(self, f"{kind}_usage_summary", summary)


class Agent:
    def __init__(self, name: str = "Writer", client: Any = None) -> None:
        self.name = name
        self.client = client if client is not None else Client()


class Looks:
    """The clients of one test, and the problems that were reported."""

    def __init__(self) -> None:
        self.clients = AgentClients()
        self.problems: list[str] = []

    def taken(self, *agents: Any) -> Amounts:
        return self.clients.taken(agents_in(list(agents)), self.problems.append)

    def tokens(self, *agents: Any) -> int:
        return sum(usage.total_tokens for usage in self.taken(*agents).values())

    def begin(self, *agents: Any) -> Watched:
        return self.clients.begin(agents_in(list(agents)), self.problems.append)

    def end(self, watched: Watched) -> int:
        return sum(usage.total_tokens for usage in self.clients.end(watched, self.problems.append).values())


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_each_look_has_the_growth_since_the_last_one(looks: Looks) -> None:
    agent = Agent()
    for tokens in (660, 110, 990):
        agent.client.use(tokens)
        count = tokens // 11
        growth = Usage(10 * count, count, tokens, Decimal(tokens) / 1000)
        assert looks.taken(agent) == {("Writer", "m"): growth}
        assert looks.taken(agent) == {}


def test_models_count_apart_and_answers_from_the_cache_do_not_count(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(110, is_cached=True)
    assert looks.taken(agent) == {}
    agent.client.use(110, "a")
    agent.client.use(220, "b")
    agent.client.use(330, "a", is_cached=True)
    assert {key: usage.total_tokens for key, usage in looks.taken(agent).items()} == {
        ("Writer", "a"): 110,
        ("Writer", "b"): 220,
    }


def test_a_new_client_counts_from_zero(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(100)
    assert looks.tokens(agent) == 100
    agent.client = Client()
    agent.client.use(150)
    assert looks.tokens(agent) == 150


@pytest.mark.parametrize("after", [10, 99, 100, 101, 5_000])
@pytest.mark.parametrize("seen_cleared", [False, True])
def test_a_cleared_client_counts_from_zero_however_much_it_uses_then(
    looks: Looks, after: int, seen_cleared: bool
) -> None:
    agent = Agent()
    agent.client.use(100)
    assert looks.tokens(agent) == 100
    agent.client.clear_usage_summary()
    if seen_cleared:
        assert looks.tokens(agent) == 0
    agent.client.use(after)
    assert looks.tokens(agent) == after


def test_what_was_used_between_the_last_look_and_the_clearing_counts(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(100)
    assert looks.tokens(agent) == 100
    agent.client.use(30)
    agent.client.clear_usage_summary()
    agent.client.use(500)
    assert looks.tokens(agent) == 530


@pytest.mark.parametrize("tokens", [(100, 50), (100, 150)])
def test_a_client_that_makes_a_new_summary_each_time_is_cleared_only_if_a_number_is_smaller(
    looks: Looks, tokens: tuple[int, int]
) -> None:
    agent = Agent("Writer", SimpleNamespace(actual_usage_summary=None))
    grown = []
    for total in tokens:
        agent.client.actual_usage_summary = {"m": {"prompt_tokens": total, "completion_tokens": 0}}
        grown.append(looks.tokens(agent))
    assert grown == [100, 50]


def test_a_model_that_is_gone_shows_that_the_client_was_cleared(looks: Looks) -> None:
    agent = Agent("Writer", SimpleNamespace(actual_usage_summary={"a": {"total_tokens": 5}, "b": {"total_tokens": 7}}))
    assert looks.tokens(agent) == 12
    agent.client.actual_usage_summary = {"a": {"total_tokens": 6}}
    assert looks.tokens(agent) == 6


def test_a_shared_client_counts_once_for_the_first_agent_that_has_it(looks: Looks) -> None:
    client = Client()
    one, other = Agent("One", client), Agent("Other", client)
    client.use(100)
    assert looks.taken(one, other).keys() == {("One", "m")}
    assert looks.taken(other, one) == {}
    client.use(10)
    assert looks.taken(other, one)["Other", "m"].total_tokens == 10


def test_clients_that_are_equal_are_not_the_same(looks: Looks) -> None:
    one, other = (Agent("A", SimpleNamespace(actual_usage_summary={"m": {"total_tokens": 5}})) for _ in range(2))
    assert one.client == other.client
    assert looks.tokens(one, other) == 10


def test_a_collected_client_is_forgotten_and_one_at_its_address_counts_from_zero(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(100)
    assert looks.tokens(agent) == 100
    agent.client = None
    gc.collect()
    assert looks.clients._clients == {}

    gone, new = (
        Agent("Writer", SimpleNamespace(actual_usage_summary={"m": {"total_tokens": tokens}})) for tokens in (100, 140)
    )
    assert looks.tokens(gone) == 100
    # As if the note of a collected client were still there when a new one is made at its address.
    looks.clients._clients[id(new.client)] = looks.clients._clients[id(gone.client)]
    assert looks.tokens(new) == 140


def test_no_client_is_kept_alive(looks: Looks) -> None:
    for _ in range(100):
        agent = Agent()
        agent.client.use(10)
        assert looks.tokens(agent) == 10
        watched = looks.begin(agent)
        agent.client.use(10)
        assert looks.end(watched) == 10
    del agent, watched
    gc.collect()
    assert looks.clients._clients == {}


@pytest.mark.parametrize("damaged", ["text", 5, [1], object(), b"x"])
def test_an_unusable_summary_is_reported_and_changes_nothing(looks: Looks, damaged: Any) -> None:
    agent = Agent()
    agent.client.use(100)
    assert looks.tokens(agent) == 100
    agent.client.use(10)
    usable = agent.client.actual_usage_summary
    agent.client.actual_usage_summary = damaged
    assert looks.tokens(agent) == 0
    assert looks.problems == ["Usage of agent 'Writer' is not counted: its client's usage summary is not a mapping."]
    agent.client.actual_usage_summary = usable
    assert looks.tokens(agent) == 10


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "12", 10**13, True, [3], 1.5])
def test_a_model_with_an_invalid_count_is_reported_and_the_others_count(looks: Looks, name: str, wrong: Any) -> None:
    agent = Agent()
    agent.client.use(100, "a")
    agent.client.use(100, "b")
    assert looks.tokens(agent) == 200
    agent.client.use(10, "a")
    agent.client.use(10, "b")
    usable = agent.client.actual_usage_summary["a"]
    agent.client.actual_usage_summary["a"] = usable | {name: wrong}
    assert looks.taken(agent).keys() == {("Writer", "b")}
    assert [problem for problem in looks.problems if "'a' is not counted: a token count" in problem] == looks.problems
    agent.client.actual_usage_summary["a"] = usable
    assert looks.tokens(agent) == 10


@pytest.mark.parametrize("numbers", [None, 5, "text", [1, 2]])
def test_a_model_without_numbers_is_reported(looks: Looks, numbers: Any) -> None:
    agent = Agent("Writer", SimpleNamespace(actual_usage_summary={"total_cost": 1, "m": numbers}))
    assert looks.taken(agent) == {}
    assert looks.problems == ["Usage of agent 'Writer', model 'm' is not counted: its numbers are not a mapping."]


@pytest.mark.parametrize("wrong", [-1, float("nan"), "0.5", None])
def test_an_invalid_cost_is_unknown_until_the_next_valid_one(looks: Looks, wrong: Any) -> None:
    agent = Agent("Writer", SimpleNamespace(actual_usage_summary={"m": {}}))
    costs = []
    for number, cost in enumerate((0.5, wrong, 0.7, 0.7, 0.6), start=1):
        agent.client.actual_usage_summary["m"] = {"total_tokens": number, "cost": cost}
        costs.append(looks.taken(agent)["Writer", "m"].cost)
    assert costs == [Decimal("0.5"), None, Decimal("0.2"), 0, 0]


def test_missing_numbers_are_zero_and_a_missing_total_is_the_sum(looks: Looks) -> None:
    agent = Agent("Writer", SimpleNamespace(actual_usage_summary={"m": {"prompt_tokens": 3, "completion_tokens": 4.0}}))
    assert looks.taken(agent) == {("Writer", "m"): Usage(3, 4, 7, None)}


def test_agents_without_a_client_use_nothing(looks: Looks) -> None:
    none = SimpleNamespace(name="user", client=None)
    assert looks.taken(none, SimpleNamespace(name="other"), Agent()) == {}


def test_one_agent_several_and_a_group_are_accepted() -> None:
    one, other = Agent("One"), Agent("Other")
    inner = SimpleNamespace(name="inner", client=None, groupchat=SimpleNamespace(agents=[other]))
    group = SimpleNamespace(name="manager", client=None, groupchat=SimpleNamespace(agents=[one, inner]))
    inner.groupchat.agents.append(group)  # a circle
    assert agents_in(one) == [one]
    assert agents_in(agent for agent in (one, other, one)) == [one, other]
    assert agents_in([group]) == [group, one, inner, other]
    assert agents_in([]) == []


@pytest.mark.parametrize("wrong", [None, "Writer", 5, ["Writer"], {"Writer": 1}, [None], b"x"])
def test_what_is_not_an_agent_is_rejected(wrong: Any) -> None:
    with pytest.raises(BadValue, match="agents"):
        agents_in(wrong)


# --- watched blocks --------------------------------------------------------------------------------------------------


def test_a_block_has_only_what_is_used_in_it(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(1_000)
    watched = looks.begin(agent)
    agent.client.use(10)
    assert looks.end(watched) == 10
    agent.client.use(7)
    assert looks.tokens(agent) == 7


def test_a_block_has_the_usage_of_replaced_cleared_and_new_clients(looks: Looks) -> None:
    agent = Agent()
    agent.client.use(1_000)
    watched = looks.begin(agent)
    agent.client.use(10)
    agent.client.clear_usage_summary()
    agent.client.use(2_000)
    agent.client = Client()
    gc.collect()
    agent.client.use(300)
    looks.clients.look(watched, looks.problems.append)  # as each event does
    agent.client.use(5)
    agent.client = Client()
    gc.collect()
    agent.client.use(50)
    assert looks.end(watched) == 10 + 2_000 + 305 + 50


def test_usage_that_was_stored_within_a_block_is_not_stored_again_at_its_end(looks: Looks) -> None:
    agent = Agent()
    watched = looks.begin(agent)
    agent.client.use(10)
    assert looks.tokens(agent) == 10
    agent.client.use(5)
    assert looks.end(watched) == 5


def test_a_nested_block_takes_nothing_from_the_outer_one(looks: Looks) -> None:
    agent = Agent()
    outer = looks.begin(agent)
    agent.client.use(100)
    inner = looks.begin(agent)
    agent.client.use(50)
    assert looks.end(inner) == 50
    agent.client.use(30)
    assert looks.end(outer) == 130


def test_blocks_that_overlap_share_everything_once(looks: Looks) -> None:
    agent = Agent()
    first = looks.begin(agent)
    agent.client.use(100)
    second = looks.begin(agent)
    agent.client.use(50)
    ended_first = looks.end(first)
    agent.client.use(30)
    assert (ended_first, looks.end(second)) == (150, 30)


def test_a_block_that_has_ended_notices_nothing(looks: Looks) -> None:
    agent = Agent()
    watched = looks.begin(agent)
    looks.end(watched)
    agent.client = Client()
    agent.client.use(10)
    looks.clients.look(watched, looks.problems.append)
    assert looks.tokens(agent) == 10


def test_a_client_that_moves_to_a_watched_agent_brings_its_earlier_usage_to_its_own_block(looks: Looks) -> None:
    one, other = Agent("One"), Agent("Other")
    of_one, of_other = looks.begin(one), looks.begin(other)
    one.client.use(100)
    other.client = one.client
    looks.clients.look(of_other, looks.problems.append)
    one.client.use(10)
    assert (looks.end(of_other), looks.end(of_one)) == (10, 100)


def test_whatever_happens_to_clients_in_a_block_each_token_counts_once() -> None:
    """Blocks begin and end in any order; clients are used, saved, cleared, replaced and shared, and each change is noticed."""
    for seed in range(150):
        counted, used = _counted_and_used(Looks(), random.Random(seed))
        assert counted == used, f"seed {seed}"


def _counted_and_used(looks: Looks, chance: random.Random) -> tuple[int, int]:
    agents = [Agent(f"agent-{number}") for number in range(3)]
    blocks = [looks.begin(*agents)]
    used = counted = 0

    def notice() -> None:
        for block in blocks:
            looks.clients.look(block, looks.problems.append)

    for _ in range(chance.randrange(5, 60)):
        agent, some = chance.choice(agents), chance.sample(agents, chance.randrange(1, 4))
        match chance.choice(["use", "use", "use", "save", "begin", "end", "clear", "replace", "share"]):
            case "use":
                tokens = chance.choice([1, 11, 1_000])
                agent.client.use(tokens, chance.choice("ab"))
                used += tokens
            case "save":
                counted += looks.tokens(*some)
            case "begin":
                blocks.append(looks.begin(*some))
            case "end" if len(blocks) > 1:
                counted += looks.end(blocks.pop(chance.randrange(1, len(blocks))))
            case "clear":
                notice()
                agent.client.clear_usage_summary()
            case "replace":
                notice()
                agent.client = Client()
            case "share":
                notice()
                agent.client = chance.choice(agents).client
        notice()
    while blocks:
        counted += looks.end(blocks.pop())
    assert looks.problems == []
    return counted, used


def test_threads_that_save_take_each_part_once(looks: Looks) -> None:
    agent = Agent()
    begin, taken = threading.Barrier(9), []

    def take() -> None:
        begin.wait()
        for _ in range(100):
            taken.append(looks.tokens(agent))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    begin.wait()
    for number in range(300):
        agent.client.use(11, f"model-{number % 30}")
    for thread in threads:
        thread.join()
    taken.append(looks.tokens(agent))
    assert sum(taken) == 300 * 11


def test_a_fork_does_not_wait_for_a_thread_of_its_parent() -> None:
    agent = Agent()
    agent.client.use(10)
    with ALL_CLIENTS._lock:  # another thread looks at clients at this moment
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(len(ALL_CLIENTS.taken([agent], print)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
