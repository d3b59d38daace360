"""What the sample chats talk about: stories for agent workflows, and questions with answers for flat chats.

All of it was made up for chatstore. `{slots}` are filled from SLOTS by the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

USER = "user"


@dataclass(frozen=True, slots=True)
class Beat:
    """One thing that happens in a story: somebody says `text`, or calls `tool` and gets `text` as its answer."""

    speaker: str
    text: str
    tool: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """How a workflow goes: it opens, goes through its rounds as often as the session is long, and closes or fails.

    The slots named in `fresh` are filled anew for each round; the others stay what they are for the whole session.
    """

    workflow: str
    opening: tuple[Beat, ...]
    round: tuple[Beat, ...]
    closing: tuple[Beat, ...]
    failing: tuple[Beat, ...] = ()
    fresh: tuple[str, ...] = ()


SLOTS: dict[str, tuple[str, ...]] = {
    "place": ("Lisbon", "Ghent", "Trieste", "Aarhus", "Kraków", "Nîmes", "Malmö", "Graz"),
    "home": ("Cologne", "Zürich", "Lyon", "Leeds", "Turin"),
    "days": ("three", "four", "five", "six"),
    "budget": ("400", "550", "700", "900"),
    "hours": ("3", "4", "6", "7"),
    "minutes": ("05", "20", "35", "50"),
    "price": ("39", "54", "61", "78", "95"),
    "night": ("48", "57", "66", "83"),
    "weather": ("if it rains", "in the evening", "on a Sunday", "with children", "before breakfast"),
    "room": ("a quiet room by the canal", "a small studio near the station", "a room over a bakery"),
    "idea": ("the covered market", "the tile museum", "a boat trip", "the botanical garden"),
    "other": ("a walk along the old wall", "the reading room of the library", "the museum of clocks", "a long lunch"),
    "order": ("4417", "5203", "6098", "7731", "8846"),
    "item": ("a desk lamp", "two wool blankets", "a teapot", "a set of brushes"),
    "fault": ("arrived damaged", "came too late", "did not fit", "had no manual"),
    "sum": ("18.50", "42.00", "27.90", "64.20"),
    "chapter": ("Summary", "Sales by region", "Returns", "Stock", "Staffing", "Outlook", "Costs", "Complaints"),
    "change": ("up by four per cent", "down by two per cent", "level", "up, after three weak months"),
    "reason": ("A wet spring", "Two new schools nearby", "The closed bridge", "An early Easter", "Late deliveries"),
    "figure": ("12,480", "9,310", "20,075", "7,642", "15,998"),
    "module": ("search", "the importer", "the login page", "exports", "the mobile menu"),
    "effect": ("twice as fast on large accounts", "no longer loses its filter", "works with a screen reader", "keeps umlauts"),
}  # fmt: skip

TRIP = Story(
    workflow="trip_planner",
    opening=(
        Beat(USER, "I would like to spend {days} days in {place}, from {home}, for at most {budget} euros."),
        Beat("PlannerAgent", "I will look for trains to {place} first, then for somewhere to stay."),
        Beat("TravelAgent", "3 connections, fastest {hours} h {minutes} min, from {price} EUR", "search_trains",
             {"from": "{home}", "to": "{place}"}),
        Beat("TravelAgent", "The quickest train takes {hours} h {minutes} min and costs {price} euros."),
        Beat(USER, "That is fine. Where would I stay?"),
        Beat("LodgingAgent", "{room}, {night} EUR a night", "find_rooms", {"city": "{place}", "nights": "{days}"}),
        Beat("LodgingAgent", "There is {room} for {night} euros a night, breakfast included."),
    ),
    round=(
        Beat(USER, "What is there to do {weather}?"),
        Beat("PlannerAgent", "{idea}; {other}", "find_sights", {"city": "{place}", "when": "{weather}"}),
        Beat("PlannerAgent", "I suggest {idea}, or {other}."),
    ),
    closing=(
        Beat("PlannerAgent", "Here is the whole plan: the train, {room}, and {idea} on the first day."),
        Beat(USER, "Thank you, please keep it for me."),
    ),
    fresh=("weather", "idea", "other"),
)  # fmt: skip

REFUND = Story(
    workflow="refund_review",
    opening=(
        Beat(USER, "My order {order}, {item}, {fault}. I would like my money back."),
        Beat("IntakeAgent", "I am sorry about that. Let me look at order {order}."),
        Beat("IntakeAgent", "order {order}: {item}, {sum} EUR, sent", "get_order", {"order": "{order}"}),
        Beat("IntakeAgent", "I see {item} for {sum} euros. Do you have a photo?"),
    ),
    round=(
        Beat(USER, "I have just sent one."),
        Beat("PolicyAgent", "allowed: within 30 days, photo present", "check_policy", {"order": "{order}"}),
        Beat("PolicyAgent", "The request is within our thirty days, so the refund is allowed."),
    ),
    closing=(
        Beat("PaymentAgent", "queued: {sum} EUR", "refund", {"order": "{order}", "amount": "{sum}"}),
        Beat("PaymentAgent", "{sum} euros are on their way to your account; banks take two to three days."),
        Beat(USER, "That was quick, thank you."),
    ),
    failing=(
        Beat("PaymentAgent", "error: no answer within 30 s", "refund", {"order": "{order}", "amount": "{sum}"}),
        Beat("PaymentAgent", "The payment service does not answer. A colleague will write to you about {order}."),
    ),
)

REPORT = Story(
    workflow="report_builder",
    opening=(
        Beat(USER, "Please write this month's report for the shops, chapter by chapter."),
        Beat("EditorAgent", "I will ask for one chapter after the other and check the figures of each."),
    ),
    round=(
        Beat("EditorAgent", "Next is “{chapter}”. AnalystAgent, the figures please."),
        Beat("AnalystAgent", "{chapter}: {figure}, {change}", "query_figures", {"chapter": "{chapter}"}),
        Beat("AnalystAgent", "{chapter}: {figure} this month, {change}."),
        Beat("WriterAgent", "## {chapter}\n\nThis month came to **{figure}**, {change}."),
        Beat("EditorAgent", "Say why it is {change}, in one sentence."),
        Beat("WriterAgent", "{reason}, which the shops name first."),
        Beat(USER, "Keep that, but shorter."),
    ),
    closing=(
        Beat("EditorAgent", "All chapters stand. The report is ready to be sent."),
        Beat(USER, "Sent. Same again next month."),
    ),
    fresh=("chapter", "figure", "change", "reason"),
)

NOTES = Story(
    workflow="release_notes",
    opening=(
        Beat(USER, "Draft the notes for the next release from what was merged."),
        Beat("CollectorAgent", "14 changes, 3 of them visible to users", "list_changes", {"since": "last release"}),
    ),
    round=(
        Beat("WriterAgent", "- {module}: {effect}"),
        Beat("ReviewerAgent", "Name who notices it: an editor, or everybody?"),
        Beat("WriterAgent", "- For everybody: {module} {effect}"),
        Beat(USER, "Good. Next one."),
    ),
    closing=(Beat("WriterAgent", "These are the notes as they would go out."), Beat(USER, "Publish them.")),
    fresh=("module", "effect"),
)

ASIDE = (
    Beat(USER, "By the way, how do I change the language of this page?"),
    Beat("GeneralAgent", "Under your name, top right, then Language. It changes for this browser only."),
)
"""A question in the middle of a workflow that the general agent answers; resuming leaves it out."""

QUESTIONS: tuple[tuple[str, str], ...] = (
    ("My rear brake squeals when it is wet. Is that dangerous?", "Annoying rather than dangerous. Clean the rim or disc with alcohol, then brake hard ten times."),
    ("Which chain fits a nine-speed cassette?", "Any chain sold as nine-speed. The inner width has to be right, the maker does not matter."),
    ("How often should I oil it?", "When it looks dry or sounds dry. In rain that is every two weeks, in summer every two months."),
    ("Do you have the 28 mm tyre in stock?", "Yes, four of them in black and one with a tan wall."),
    ("Could you put one aside until Saturday?", "Done. It lies at the counter under your name."),
    ("What does a full service cost?", "79 euros without parts. We ring you before we replace anything."),
    ("How long would you need the bike for?", "Two days in winter, about a week in May."),
    ("The light flickers on cobblestones.", "Then the plug at the hub is loose nearly every time. Push it in and bend it over once."),
    ("Is tubeless worth it for the city?", "If you ride over glass every day, yes. Otherwise a good puncture belt is less work."),
    ("¿Abren ustedes el domingo?", "No, los domingos está cerrado; el sábado abrimos de 10 a 16."),
    ("My son is 1.32 m. Which frame size?", "A 24 inch wheel, with a frame of about 30 cm. Let him stand over it before you buy."),
    ("Can I bring back the helmet if it does not fit?", "Within thirty days, unworn, with the receipt. A photo of it is enough."),
    ("Der Sattel sinkt langsam ab.", "Dann ist die Sattelklemme fettig. Entfetten, mit 6 Nm anziehen, fertig."),
    ("Do you repair e-bikes as well?", "Everything but the motor itself. Those we send in, which takes ten days."),
    ("The gears jump when I pedal hard.", "Chain and cassette are worn together, most likely. We measure that for free. 🔧"),
    ("What pressure should I ride?", "At 75 kg with 32 mm: 4 bar behind, 3.5 in front."),
    ("Do you buy used bikes?", "Only those that we sold ourselves, and only with the invoice."),
    ("Is there a waiting list for the workshop?", "At the moment six bikes are before you, so Thursday."),
    ("Can you ship to Norway?", "Parts yes, whole bikes no. Shipping is 19 euros."),
    ("Thanks, that is all!", "Gladly. Ride safely!"),
)  # fmt: skip
"""A bicycle shop's chat: what a customer writes, and what the assistant answers."""
