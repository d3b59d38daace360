"""Phone numbers, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.phone_numbers.routing import PhoneNumbers
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.domain.phone_numbers import BindingStore
    from chatstore_cli.wiring.stores import Stores


def binding_store(stores: Stores) -> BindingStore:
    """The bindings of phone numbers. The first command connects."""
    from chatstore_cli.mongo.phone_numbers.store import MongoBindingStore

    return MongoBindingStore(
        stores.connection, stores.settings, patient=stores.patient_connection, server_now=stores.server_now
    )


def phone_numbers(stores: Stores) -> PhoneNumbers:
    """The phone numbers, with the rules of core/phone_numbers/routing.py."""
    from chatstore_cli.core.phone_numbers.routing import PhoneNumbers
    from chatstore_cli.wiring.agents import agent_store

    default_agent = stores.settings.chatstore.agents.default_agent
    return PhoneNumbers(binding_store(stores), agent_store(stores), default_agent=default_agent)


def phone_number_checks(stores: Stores) -> list[Check]:
    """The check of `chatstore verify` that reads the bindings of phone numbers, within the limits of the settings."""
    from chatstore_cli.core.verify.checklist import Check, Verdict, skipped
    from chatstore_cli.core.verify.phone_numbers import route_verdict
    from chatstore_cli.domain.errors import Conflict, MissingRight
    from chatstore_cli.mongo.phone_numbers.sample import MongoBindingSample

    bounds = stores.settings.verify
    seconds = bounds.seconds_per_check

    def routes() -> Verdict:
        sample = MongoBindingSample(stores.connection, stores.settings, sample=bounds.sample, seconds=seconds)
        try:
            with stores.within(seconds):
                return route_verdict(sample, phone_numbers(stores).fault_of, seconds)
        except Conflict as error:  # no collection of agents can be chosen, so no route can be followed
            return skipped(error.message, error.hint)
        except MissingRight:
            return skipped(f"this user may not read {sample.collection} or the agents")

    return [Check("phone-routes", routes, "connection")]
