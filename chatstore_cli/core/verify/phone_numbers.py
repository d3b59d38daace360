"""The check of `chatstore verify` that follows the routes of phone numbers to their agents."""

from __future__ import annotations

import time
from collections.abc import Callable

from chatstore_cli.core.verify.checklist import Verdict, failed, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.phone_numbers import BindingSample, PhoneBinding
from chatstore_cli.domain.quantities import quantity

_HINT = (
    "Route these numbers to an agent that exists: chatstore agents numbers bind. To delete a route, run: chatstore agents "
    "numbers unbind. Until then, the default agent answers (chatstore.agents.default_agent)."
)
_DOUBLED_HINT = (
    "The oldest route is used. Delete the others: chatstore agents numbers unbind. Until then, no number can be bound."
)


def route_verdict(
    sample: BindingSample,
    fault_of: Callable[[PhoneBinding], str | None],
    seconds: float,
    timer: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Every number has one live route, and its agent exists and belongs to the same tenant.

    `fault_of` returns what is wrong with a route. The comparison stops after `seconds`.
    """
    deadline = timer() + seconds
    doubled, routes = sample.doubled(), sample.live()
    if doubled is None or routes is None:
        return too_slow(sample.collection, seconds)
    if not routes and not doubled:
        return skipped(f"{sample.collection} has no route to an agent")
    faults: list[str] = []
    compared = 0
    try:
        for route in routes:
            if timer() >= deadline:
                break
            fault = fault_of(route)
            compared += 1
            if fault is not None:
                faults.append(fault)
    except Overdue:  # the server stopped a look-up; what was found before counts
        pass
    followed = f"{quantity(compared, 'route')} followed"
    if doubled:
        numbers = shorten([f"{number} has {count} live routes" for number, count in doubled])
        return failed("; ".join(filter(None, (numbers, shorten(faults), followed))), _DOUBLED_HINT)
    if faults:
        return warned(f"{followed}; {shorten(faults)}", _HINT)
    if compared < len(routes):
        return (
            passed(f"only {followed} within {seconds:g} seconds") if compared else too_slow(sample.collection, seconds)
        )
    return passed(followed)
