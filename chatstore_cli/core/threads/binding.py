"""The user and the tenant to which a StateManager is bound."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from chatstore_cli.core.threads.checks import checked_owner
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.ports import Owner

DEFAULT_USER, DEFAULT_ORG = "default_user", "default_org"


class LeftOut(Enum):
    """The type of LEFT_OUT."""

    LEFT_OUT = "left out"


LEFT_OUT = LeftOut.LEFT_OUT
"""The default of `user_id` and `org_id`. None is an error, because it is usually the result of a failed look-up."""

Bound = str | Literal[LeftOut.LEFT_OUT]


class Binding:
    """Which threads a StateManager can see (`owner`), and for whom it creates new ones (`user_id`, `org_id`).

    It is unbound only if both ids were left out. Then it sees every thread. If only one was given, only that one is
    required.
    """

    def __init__(self, user_id: Bound, org_id: Bound) -> None:
        """Raises InvalidThreadData for None or an empty text."""
        try:
            bound_user = None if user_id is LEFT_OUT else checked_owner(user_id, "user_id")
            bound_org = None if org_id is LEFT_OUT else checked_owner(org_id, "org_id")
        except InvalidThreadData as error:
            error.hint = "Check where the id comes from. To see the threads of all users, leave user_id and org_id out."
            raise
        self.owner = Owner(bound_user, bound_org)
        self.user_id = DEFAULT_USER if bound_user is None else bound_user
        self.org_id = DEFAULT_ORG if bound_org is None else bound_org

    def require(self, user_id: object, org_id: object, what: str) -> None:
        """Raise InvalidThreadData if a thread of this user and tenant would be outside the binding."""
        wanted = {"user_id": user_id, "org_id": org_id}
        for (field, value), bound in zip(wanted.items(), self.owner, strict=True):
            if bound is not None and value != bound:
                raise InvalidThreadData(
                    what=f"{field}: {value!r} is not {bound!r}, to which this manager is bound. {what}"
                )

    def narrowed(self, user_id: str | None, org_id: str | None) -> Owner | None:
        """The owner that combines the binding with these conditions. None if no thread can meet both.

        None means every user, or every tenant.
        """
        wanted = [bound if value is None else value for value, bound in zip((user_id, org_id), self.owner, strict=True)]
        if any(bound not in (None, value) for value, bound in zip(wanted, self.owner, strict=True)):
            return None
        return Owner(*wanted)
