"""Finds keys, tokens and passwords: by the forms that services give their keys, and by the name before the value."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatstore_cli.core.personal_data.spans import Span

KIND = "secret"

_KEYS = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)"
    # A look-behind in front of each repetition without a limit: a long word is tried once, not at each of its letters.
    r"|(?<![\w-])(?:"
    r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+){0,3}"  # JSON web tokens
    r"|[spr]k-(?=[A-Za-z_-]{0,100}[0-9])[\w-]{16,}"  # OpenAI, Anthropic and services like them
    r"|[spr]k_(?:live|test|prod)_\w{10,}|whsec_\w{16,}"  # Stripe
    r"|gh[pousr]_\w{20,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rt|cbt)-[\w-]{16,}"  # GitHub, GitLab
    r"|xox[abceoprs]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)"  # AWS
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|hf_[A-Za-z0-9]{20,}|gsk_\w{20,}|r8_\w{20,}|pplx-\w{20,}|xai-\w{20,}|nvapi-[\w-]{20,}|tvly-[\w-]{16,}"  # models
    r"|npm_\w{20,}|pypi-[\w-]{20,}|dckr_pat_[\w-]{16,}|do[opr]_v1_\w{20,}|shp(?:at|ca|pa|ss)_\w{20,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|lsv2_\w{20,}|sntrys_\w{20,}|PMAK-[\w-]{20,}|dapi[0-9a-f]{32}"
    r"|[0-9]{8,10}:AA[\w-]{30,}"  # bots of Telegram
    r")",
    re.DOTALL,
)
_USER_INFO = re.compile(r"://([^\s/:@\"'<>]{0,200}:[^\s/@\"'<>]{1,200})@")
"""The user and the password of a URI."""

_NAMED = re.compile(
    r"(?i)(?P<password>pass(?:word|wd|phrase|wort)|pwd|kennwort|contrase\u00f1a|mot de passe)"
    r"|(?:secret|token|api[ _-]?key|access[ _-]?key|private[ _-]?key|auth[ _-]?key|account[ _-]?key|signing[ _-]?key"
    r"|credentials?|authorization|cookie|signature)"
)
"""A name of a secret. What follows it is read by `_VALUE`."""
_HINTS = (
    "pass",
    "pwd",
    "kennwort",
    "contras",
    "secret",
    "token",
    "key",
    "credential",
    "authoriz",
    "cookie",
    "signature",
)
"""What is in each name of `_NAMED`. Most texts have none of them, and this is faster than the expression."""
_VALUE = re.compile(
    r"[\w.-]{0,30}\\{0,3}[\"'`]?\]?\s{0,3}(?:[:=]|%3[dD]|=>|\sis\b|\slautet\b)\s{0,3}(?:(?:bearer|basic|token)\s)?"
    r"(?:\\{1,3}\"(?P<escaped>.*?)\\{1,3}\"|\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>[^'\n]*)'"
    r"|(?P<bare>[^\s\"'\\,;&<>{}\[\]()`]{1,300}))",
    re.IGNORECASE,
)
_REST_OF_BARE = re.compile(r"[^\s\"'\\,;&<>{}\[\]()`]*")
_BEARER = re.compile(r"(?i)(?<!\w)(?:bearer|basic)\s{1,3}(?=[^\s\d]{0,200}\d)([\w.~+/=-]{8,})")
_LONGEST = 2_000
"""A longer value after a name is a text, for example a document under the heading "Secret"."""


def find_secrets(text: str) -> Iterator[Span]:
    """The keys and passwords of a text. They may overlap."""
    for match in _KEYS.finditer(text):
        yield _span(match.start(), match.end(), text)
    if "://" in text:
        for match in _USER_INFO.finditer(text):
            yield _span(match.start(1), match.end(1), text)
    for match in _BEARER.finditer(text):
        yield _span(match.start(1), match.end(1), text)
    lower = text.lower()
    position = 0 if any(hint in lower for hint in _HINTS) else len(text)
    while (name := _NAMED.search(text, position)) is not None:
        position = name.end()
        # The window bounds the cost: names may follow each other closely, and quotes need not close.
        found = _VALUE.match(text, name.end(), name.end() + _LONGEST)
        if found is None or not (group := found.lastgroup):
            continue
        start, end = found.span(group)
        separator = text[name.end() : start]
        is_sentence = not any(sign in separator for sign in (":", "=", "%3"))
        if _is_secret(found[group], is_password=name["password"] is not None, is_sentence=is_sentence):
            if group == "bare":
                end = _end_of(_REST_OF_BARE.match(text, end), end)
                end -= len(text[start:end]) - len(text[start:end].rstrip(".!?"))
            yield _span(start, end, text)
            position = end


def _end_of(match: re.Match[str] | None, otherwise: int) -> int:
    return otherwise if match is None else match.end()


def _is_secret(value: str, *, is_password: bool, is_sentence: bool) -> bool:
    """Whether a value after a name is a secret. "My password is wrong" has none, "token: 17" is a number."""
    has_digit = re.search(r"\d", value) is not None
    has_letter = re.search(r"[^\W\d_]", value) is not None
    if is_password and not is_sentence:
        return len(value) >= 3 and value.lower() not in ("null", "none", "true", "false", "***", "********")
    if is_password:
        return len(value) >= 4 and (has_digit or re.search(r"[^\w.,!?'-]", value) is not None)
    return len(value) >= 8 and has_digit and has_letter


def _span(start: int, end: int, text: str) -> Span:
    return Span(start, end, KIND, text[start:end])
