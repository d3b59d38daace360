"""An empty result because of a mistyped tenant or user is an error: one rule for the commands that filter sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.queries import SessionQuery

if TYPE_CHECKING:
    from chatstore_cli.domain.session_reader import SessionReader


def require_known_names(
    invocation: Invocation,
    readers: Sequence[SessionReader],
    query: SessionQuery,
    is_known: Callable[[SessionQuery], bool] = lambda _: False,
) -> None:
    """Raise NotFound if no session at all has the tenant or the user of a query that found nothing.

    For a name that no session has, `is_known` returns whether something else has this name. Its query has only the name.
    Call this function only after an empty result, because it queries each layout.
    """
    from chatstore_cli.core.sessions.names import require_known

    for alone in (SessionQuery(tenant_id=query.tenant_id), SessionQuery(user_id=query.user_id)):
        try:
            require_known(readers, alone, lambda: invocation.stores.readers_beside(query.layout))
        except NotFound:
            if is_known(alone):
                continue
            invocation.say_what_the_database_has()
            raise
