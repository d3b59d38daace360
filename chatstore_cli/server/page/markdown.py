"""The text of a message as HTML. Markdown becomes paragraphs, lists, tables and code; HTML in the text stays text."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any, cast

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML, RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from chatstore_cli.render.safe import sanitize_text

LONGEST = 100_000
"""Characters of a message that are drawn. The rest is a click away, as plain text."""


def to_html(text: str) -> str:
    """HTML without scripts, forms, pictures and styles. Links open elsewhere and tell the other site nothing."""
    return str(_reader().render(sanitize_text(text[:LONGEST])))


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20}).enable("table")
    # A picture would be loaded from the host that the message names, which would then know who reads it and when.
    reader.disable("image")
    reader.add_render_rule("link_open", _link_open)
    return reader


def _link_open(
    renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    return cast(RendererHTML, renderer).renderToken(tokens, index, options, env)
