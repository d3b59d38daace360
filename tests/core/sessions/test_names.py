"""The tenants and users of sessions, and lists whose tenant or user exists nowhere: the rules, over readers in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from chatstore_cli.core.sessions import names
from chatstore_cli.core.sessions.names import named_sessions, require_known
from chatstore_cli.domain.errors import NotFound, Overdue, WrongUse
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import NameField, NameTotal
from tests.core.sessions.test_listing import NOON, MemoryReader, session


class FilteringReader(MemoryReader):
    """A layout with tenants and users, without a way to group them."""

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        every = super().newest_first(query, after, len(self.sessions))
        return iter([each for each in every if query.matches(each)][:limit])


@dataclass
class GroupingReader(FilteringReader):
    """A layout that groups on its server, unless that takes too long."""

    totals: list[NameTotal] = field(default_factory=list)
    is_slow: bool = False
    limits: list[float] = field(default_factory=list)

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        yield from self.totals
        if self.is_slow:
            raise Overdue(what="too slow")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        self.limits.append(seconds)
        yield


def of_tenant(tenant: str | None, number: int, *, user: str | None = None) -> list[Session]:
    every = [session(f"{tenant}-{index}", "workflow", index) for index in range(number)]
    return [replace(each, tenant_id=tenant, user_id=user) for each in every]


def rows(found: names.Names) -> list[tuple[str | None, int]]:
    return [(each.name, each.sessions) for each in found.items]


def test_a_name_of_several_layouts_has_the_sum_and_the_last_update() -> None:
    grouped = GroupingReader(
        "threads", totals=[NameTotal("acme", 5, None), NameTotal("acme", 1, NOON), NameTotal(None, 9, NOON)]
    )
    found = named_sessions([grouped, FilteringReader("workflow", of_tenant("acme", 2) + of_tenant("b", 1))], "tenant")
    assert rows(found) == [(None, 9), ("acme", 8), ("b", 1)]
    acme = found.items[1]
    assert {layout: total.sessions for layout, total in acme.layouts.items()} == {"threads": 6, "workflow": 2}
    assert acme.updated_at == of_tenant("acme", 2)[-1].updated_at
    assert (found.is_complete, found.notes, grouped.limits) == (True, [], [5.0])


def test_if_grouping_takes_too_long_the_newest_sessions_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_READ", 3)
    slow = GroupingReader("workflow", of_tenant("acme", 7), totals=[NameTotal("wrong", 1, None)], is_slow=True)
    found = named_sessions([slow], "tenant")
    assert (rows(found), found.is_complete) == ([("acme", 3)], False)
    assert found.notes == [
        "workflow: counting every session would take longer than 5 seconds, so only the newest 3 are counted."
    ]
    slow.sessions = slow.sessions[:3]
    assert named_sessions([slow], "tenant").is_complete  # all of them were read


def test_too_many_names_are_not_added_up_over_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_NAMES", 2)
    many = GroupingReader("threads", totals=[NameTotal(name, 1, None) for name in "abc"])
    alone = named_sessions([many], "user")
    assert (rows(alone), alone.is_complete) == ([("a", 1), ("b", 1)], False)
    with pytest.raises(WrongUse, match="threads has more than 2 users") as error:
        named_sessions([many, FilteringReader("workflow")], "user")
    assert error.value.hint == "Narrow the list with --tenant or --layout."


def test_a_layout_without_tenants_is_left_out_with_a_note() -> None:
    found = named_sessions([FilteringReader("messages", lacking=["tenant"])], "user", tenant_id="acme")
    assert (found.items, found.notes) == ([], ["The layout messages has no tenant, so its sessions are left out."])


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        (SessionQuery(), None),
        (SessionQuery(tenant_id="acme", since=NOON), None),
        (SessionQuery(tenant_id="elsewhere"), None),  # another layout has it
        (SessionQuery(tenant_id="acme", user_id="bob"), None),  # both exist, in different sessions
        (SessionQuery(tenant_id="ACME"), "No tenant 'ACME' in workflow or general."),
        (SessionQuery(tenant_id="acme", user_id="anna"), "No user 'anna' in workflow, messages or general."),
    ],
)
def test_a_name_that_exists_nowhere(query: SessionQuery, missing: str | None) -> None:
    listed = FilteringReader("workflow", of_tenant("acme", 1, user="ana"))
    other = FilteringReader("general", of_tenant("elsewhere", 1, user="bob"))
    flat = FilteringReader("messages", lacking=["tenant"])
    if missing is None:
        require_known([listed, flat], query, lambda: [listed, other, flat])
        return
    with pytest.raises(NotFound) as error:
        require_known([listed, flat], query, lambda: [listed, other, flat])
    assert error.value.message == missing


def test_a_layout_that_does_not_answer_may_have_the_name() -> None:
    class SilentReader(FilteringReader):
        def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
            raise Overdue(what="no answer")

    listed = FilteringReader("workflow", of_tenant("acme", 1))
    require_known([listed], SessionQuery(tenant_id="x"), lambda: [listed, SilentReader("threads")])


def test_nothing_is_asked_if_no_layout_of_the_list_has_the_field() -> None:
    require_known([FilteringReader("messages", lacking=["tenant"])], SessionQuery(tenant_id="x"), lambda: [])
