"""Personal data in conversations is replaced by numbered stand-ins, and what only looks like it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.redaction import Redactor
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session, SessionStatus
from tests.support.json_values import VALUES
from tests.support.paths import SHARED_DATA

CONVERSATIONS = SHARED_DATA / "taskmaster4"

EMAILS = {
    "ana@example.com": "[email 1]",
    "Write to Ana.Maria+x@B\u00fccher.example.de.": "Write to [email 1].",
    "mailto:ana%40example.com?x=1": "mailto:[email 1]?x=1",
    "email=ana@x.co&y=2": "email=[email 1]&y=2",
    "ana [at] example [dot] com": "[email 1]",
    "ana(at)example.com": "[email 1]",
    '{\\"to\\": \\"ana\\u0040example.com\\"}': '{\\"to\\": \\"[email 1]\\"}',
    "<b>ana&#64;example.com</b>": "<b>[email 1]</b>",
    "ana\uff20example.com": "[email 1]",
    "a\u200bna@exam\u00adple.c\u2060om = ana@example.com": "[email 1] = [email 1]",
    "<ana@example.com>, <ANA@example.com>, <bo@example.com>": "<[email 1]>, <[email 1]>, <[email 2]>",
}
PHONES = {
    "+1 (415) 555-2671": "[phone 1]",
    "+1 415 555 2671 42 pieces": "[phone 1] 42 pieces",
    "(+49) 30 1234567": "[phone 1]",
    "+49 (0)30 / 12345-67": "[phone 1]",
    "0049 30 1234567, +49 30 1234567": "[phone 1], [phone 1]",
    "tel:+4930123456": "tel:[phone 1]",
    "to=%2B49301234567": "to=[phone 1]",
    "room call-_+15551234567_abc": "room call-_[phone 1]_abc",
    "+\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19": "[phone 1]",
    "(555) 234-5678": "[phone 1]",
    "555.234.5678": "[phone 1]",
    "1-800-234-5678": "[phone 1]",
    "030/1234567": "[phone 1]",
    "01 23 45 67 89": "[phone 1]",
    "07700 900123": "[phone 1]",
    "07700\u2011900\u00a0123": "[phone 1]",
    '{"customerPhoneNumber": 5552345678}': '{"customerPhoneNumber": [phone 1]}',
    "01-23-45-67-89, 089/12-34-56-7": "[phone 1], [phone 2]",
    "q=phone%3A%205552345678": "q=phone%3A%20[phone 1]",
    "phone: 5552345678": "phone: [phone 1]",
    "'phone': '5552345678'": "'phone': '[phone 1]'",
    "my phone number is 12345678.": "my phone number is [phone 1].",
    "Call me at 5552345678": "Call me at [phone 1]",
    "\u7535\u8bdd\uff1a13812345678": "\u7535\u8bdd\uff1a[phone 1]",
}
CARDS = {
    "4111 1111 1111 1111": "[card 1]",
    "4111-1111-1111-1111, 4111111111111111": "[card 1], [card 1]",
    "3782 822463 10005": "[card 1]",
    "4111 1111 1111 1111 12/27 123": "[card 1] 12/27 123",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1": "[card 1]",
    "card=4111%201111%201111%201111": "card=[card 1]",
    "DE89 3704 0044 0532 0130 00": "[iban 1]",
    "IBAN: gb29-NWBK-6016-1331-9268-19.": "IBAN: [iban 1].",
}
SECRETS = {
    "Use sk-proj-abcdefghij1234567890.": "Use [secret 1].",
    "Authorization: Bearer abcdef1234567890": "Authorization: Bearer [secret 1]",
    '{"password": "correct horse"}': '{"password": "[secret 1]"}',
    '"{\\"api_key\\": \\"abcd1234efgh\\"}"': '"{\\"api_key\\": \\"[secret 1]\\"}"',
    "my password is hunter2!": "my password is [secret 1]!",
    "https://ana:pa55@host.example.com/x": "https://[secret 1]@host.example.com/x",
    "AKIAIOSFODNN7EXAMPLE": "[secret 1]",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "[secret 1]",
    "?access_token=abc123def456&x=1": "?access_token=[secret 1]&x=1",
}
NOTHING = """2026-11-29T02:17:28+00:00|2026-11-29 02:17:28.123456|1764382648|1764382648123|1764382648123456789|order 1234567890
order #123-4567890-1234567|112-3456789-1234567|550e8400-e29b-41d4-a716-446655440000|41111111-1111-1111-1111-111111111111
507f1f77bcf86cd799439011|01 02 03 04 05 06|1 2 3 4 5 6 7 8 9 10 11 12|192.168.100.200|v0.12.345.6789|01.02.2026 10:30
01/02/26-03/04/26 08:30|1.2.26 - 3.4.26|29/11/2026 - 30/11/2026|invoice 2026-000123-45|1,234,567,890|1 234 567 890 EUR|3.14159265358979|tool call at 1764382648
sequence 100000001|4111 1111 1111 1112|token: 17|prompt_tokens: 12345678|the secret: always be kind|basic information
my password is wrong|size 10000000 bytes|react@18.2.0|@octocat|a@b|555-123-4567-8901|10:00:00-12:30:00|chat-5d1c07e2
shop-01-c66516|0x00112233445566|00:11:22:33:44:55|ISBN 978-3-16-148410-0|lat 52.5200066, lon 13.4049540|order-42-4155552671
4111111111111111111111111""".replace("\n", "|").split("|")


@pytest.mark.parametrize(("text", "expected"), (EMAILS | PHONES | CARDS | SECRETS).items())
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_it_remains(text: str) -> None:
    assert Redactor().text(text) == text


def test_equal_values_have_equal_numbers_and_are_counted_once() -> None:
    redactor = Redactor()
    assert redactor.text("ana@x.com, bo@x.com") == "[email 1], [email 2]"
    assert redactor.text("ANA@x.com or +4930123456") == "[email 1] or [phone 1]"
    assert redactor.counts == {"email": 2, "phone": 1}
    assert redactor.notice() == (
        "Redacted: 2 e-mail addresses, 1 phone number. Names and other personal data are not recognised."
    )
    assert Redactor().notice().startswith("Redacted: nothing.")


def test_a_value_that_is_divided_between_parts_is_replaced() -> None:
    parts = [{"type": "text", "text": "Write to ana@exa"}, "mple.com or +49 30 12", {"type": "image"}, "3456 today"]
    assert Redactor().value(parts) == [
        {"type": "text", "text": "Write to [email 1]"},
        " or [phone 1]",
        {"type": "image"},
        " today",
    ]


def test_names_of_keys_decide_about_values_without_a_form() -> None:
    stored = {
        "phone_number": 15552345678,
        "customerPhone": "5552345678",
        "password": "open sesame",
        "headers": [{"name": "Authorization", "value": "xyz"}],
        "credentials": {"user": "ana", "port": 17, "ok": True},
        "max_tokens": 4096,
        "total_tokens": "1234",
        "order_number": 15552345678,
        "card": 4111111111111111,
        "ana@x.com": {"by": "ANA@X.COM"},
        "ANA@x.com": 1,
    }
    assert Redactor().value(stored) == {
        "phone_number": "[phone 1]",
        "customerPhone": "[phone 2]",
        "password": "[secret 1]",
        "headers": [{"name": "Authorization", "value": "[secret 2]"}],
        "credentials": {"user": "[secret 3]", "port": 17, "ok": True},
        "max_tokens": 4096,
        "total_tokens": "1234",
        "order_number": 15552345678,
        "card": "[card 1]",
        "[email 1]": {"by": "[email 1]"},
        "[email 1] (2)": 1,
    }


def test_every_text_of_a_message_and_a_session_is_redacted() -> None:
    message = Message(
        "s-ana@x.com", "user", "ana@x.com", "m-ana@x.com", 4155552671, "ana@x.com", None, "ana@x.com", "ana@x.com",
        [{"function": {"arguments": '{"to": "ana@x.com"}'}}], "ana@x.com", {"ana@x.com": ["ana@x.com"]},
    )  # fmt: skip
    redacted = Redactor().message(message)
    assert "@" not in json.dumps(redacted)
    assert (redacted.session_id, redacted.sequence) == ("[email 1]", 4155552671)
    session = Session("s-1", "messages", user_id="ana@x.com", title="+49 30 123456", status=SessionStatus.FAILED)
    assert Redactor().session(session) == Session(
        "s-1", "messages", user_id="[email 1]", title="[phone 1]", status=SessionStatus.FAILED
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see data:image/png;base64,{} and mail ana@example.com", "see [image image/png, 3.7 KiB] and mail [email 1]"),
        ("![a cat](data:image/png;base64,{})", "![a cat]([image image/png, 3.7 KiB])"),
        ("DATA:image/png;base64,{}", "[image image/png, 3.7 KiB]"),
        ('data:image/png;name="a b.png";base64,{}', "[image image/png, 3.7 KiB]"),
        ('{{"file": "data:application/pdf;base64,{}"}}', '{{"file": "[file application/pdf, 3.7 KiB]"}}'),
        ("the data is {} as it was", "the data is [data, 3.7 KiB] as it was"),
        ("my data: a;base64 is a word", "my data: a;base64 is a word"),
    ],
)
def test_a_picture_between_other_text_becomes_its_size_too(text: str, shown: str) -> None:
    assert Redactor().value(text.format("A" * 5000)) == shown.format()


def test_a_picture_in_lines_of_76_characters_becomes_its_size() -> None:
    lines = "\n".join(["B" * 76] * 50)
    text = Redactor().value(f"Look: data:image/png;base64,{lines}\nCCC=\nThe end of the message.")
    assert text == "Look: [image image/png, 2.8 KiB]\nThe end of the message."


def test_a_picture_becomes_its_size_because_it_may_show_a_person() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    assert "AAAA" not in json.dumps(Redactor().value([part]))


@given(VALUES, st.sampled_from(["ana@example.com", "+4930123456", "4111 1111 1111 1111", "sk-abcdefghij1234567890"]))
def test_wherever_a_value_is_it_is_replaced_and_the_rest_remains(value: Any, secret: str) -> None:
    redactor = Redactor()
    inside = redactor.value(
        {"before": value, f"a {secret} z": [f"x {secret} y", {"deep": f"({secret})"}], "after": value}
    )
    assert secret not in json.dumps(inside, ensure_ascii=False, default=str)
    assert sum(redactor.counts.values()) >= 1
    again = Redactor()
    assert again.value(inside) == inside  # stand-ins are not personal data


@given(st.text(max_size=80))
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    redacted = Redactor().text(text)
    assert Redactor().text(redacted) == redacted


@pytest.mark.parametrize(
    "unit",
    [
        "phone" + " " * 38 + "y 5552345678 ",
        "a",
        "@",
        "a@",
        "a@b.",
        "1",
        "1 ",
        "4111 ",
        "eyJ",
        "token:",
        'password:"',
        "DE89 ",
        "+1",
        "(",
    ],
)
def test_the_cost_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    """A search that backtracks does not end within the lifetime of the tests."""
    Redactor().text(unit * (100_000 // len(unit)))


def test_real_conversations_have_no_personal_data() -> None:
    """Orders of coffee, with prices, sizes and times: none is taken for a number of a person."""
    if not CONVERSATIONS.is_dir():
        pytest.skip(f"the Taskmaster-4 conversations are not beside this project ({CONVERSATIONS.parent})")
    redactor = Redactor()
    turns = 0
    for file in sorted(CONVERSATIONS.glob("*.jsonl")):
        for line in map(json.loads, file.read_text("utf-8").splitlines()):
            turns += 1
            assert redactor.value(line) == line
            with_number = f"{line['text']} My number is +1 415 555 2671."
            assert Redactor().text(with_number) == f"{line['text']} My number is [phone 1]."
    assert turns > 700
