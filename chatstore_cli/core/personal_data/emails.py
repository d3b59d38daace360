"""Finds e-mail addresses, also in URLs, in JSON and HTML escapes, and written as `ana [at] example [dot] com`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from chatstore_cli.core.personal_data.spans import Span

KIND = "email"
_HIDDEN = r"\u00ad\u200b-\u200d\u2060\ufeff"
"""Characters that nobody sees: an address with one looks like an address."""
_LOCAL = rf"[\w.+~!#$*'%{_HIDDEN}-]"
_AT = r"@|\uff20|\ufe6b|%40|\\u0040|&#0*64;|&#[xX]0*40;|&commat;|[ ]?[\[({]\s?[aA][tT]\s?[\])}][ ]?"
_DOT = r"\.|\u3002|\uff0e|%2[eE]|[ ]?[\[({]\s?(?:[dD][oO][tT]|[pP]unkt)\s?[\])}][ ]?"
_EMAIL = re.compile(
    # The look-behind makes the search linear: a match begins where a word begins, and a word is tried once.
    rf"(?<!{_LOCAL}){_LOCAL}{{1,256}}(?:{_AT})(?:[\w{_HIDDEN}-]{{1,63}}(?:{_DOT})){{1,8}}"
    rf"(?:xn--[\w-]{{2,59}}|(?:[^\W\d_]|[{_HIDDEN}]){{2,63}})(?![\w-]*@)"
)
_HIDDEN_SIGNS = re.compile(f"[{_HIDDEN}]")
_AT_SIGN = re.compile(_AT)
_OTHER_AT_SIGN = re.compile(_AT.removeprefix("@|").replace("[ ]?", ""))
_DOT_SIGN = re.compile(_DOT)


def find_emails(text: str) -> Iterator[Span]:
    """The e-mail addresses of a text."""
    if "@" not in text and _OTHER_AT_SIGN.search(text) is None:
        return
    for match in _EMAIL.finditer(text):
        plain = _HIDDEN_SIGNS.sub("", match[0])
        plain = unquote(_DOT_SIGN.sub(".", _AT_SIGN.sub("@", plain)))
        yield Span(match.start(), match.end(), KIND, unicodedata.normalize("NFKC", plain).casefold())
