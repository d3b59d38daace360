"""The checks of `chatstore verify` that read general chats: their counters, and ids that two users have."""

from __future__ import annotations

from chatstore_cli.core.general.counter_merges import doubled_text
from chatstore_cli.core.verify.checklist import Verdict, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.general_counters import CounterMerges, GeneralChatSamples

_TENANT_FIELDS = ("app_id", "enterprise_id")


def counter_verdict(merges: CounterMerges, samples: GeneralChatSamples, seconds: float) -> Verdict:
    """Each user has one counter of general chats, and no chat has a higher number, as it can have after a restore."""
    pairs: dict[tuple[str, str], None] = {}
    for field in _TENANT_FIELDS:
        doubled = merges.doubled(field)
        if doubled is None:
            return too_slow(merges.collection, seconds)
        pairs |= dict.fromkeys((each.tenant, each.user) for each in doubled)
    sample = samples.numbers()
    if sample is None:
        return too_slow(merges.collection, seconds)
    faults, hints = [], []
    if pairs:
        faults.append(doubled_text(merges.collection, list(pairs)))
        hints.append("To merge the counters, run chatstore indexes apply.")
    if sample.lagging:
        lagging = shorten(
            [
                f"{each.tenant}/{each.user}: {'no counter' if each.counter is None else each.counter}, chat {each.highest}"
                for each in sample.lagging
            ]
        )
        faults.append(f"counters lower than a chat's number: {len(sample.lagging):,} ({lagging})")
        hints.append(
            "chatstore continues after the highest chat. Another application would use numbers again. Raise `sequence` "
            "in the counter, or create one general chat with chatstore."
        )
    if faults:
        return warned("; ".join(faults), " ".join(hints))
    if not sample.looked_at:
        return skipped("there are no general chats")
    return passed(f"no counter is doubled, and none is lower than the numbers of {sample.looked_at:,} checked chats")


def collision_verdict(samples: GeneralChatSamples, seconds: float) -> Verdict:
    """No id of a general chat was given to two users. The platform joins tenant and user with `-`, which both may contain."""
    sample = samples.collisions()
    if sample is None:
        return too_slow("general chats", seconds)
    if sample.collided:
        named = shorten(
            [
                f"{each.chat_id} (also {', '.join(f'user {user} of tenant {tenant}' for tenant, user in each.others)})"
                for each in sample.collided
            ]
        )
        return warned(
            f"ids that two users were given: {len(sample.collided):,} of {sample.looked_at:,} checked chats ({named})",
            "Messages of the second user are in the first one's chat, or were lost. Compare them with another copy, for "
            "example the application's log. Ids of new chats that chatstore creates cannot collide.",
        )
    if not sample.looked_at:
        return skipped("there are no general chats")
    return passed(f"no id was given twice in {sample.looked_at:,} checked chats")
