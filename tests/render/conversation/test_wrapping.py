"""Text is wrapped to cells of the terminal, and nothing but the spaces at breaks is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatstore_cli.render.conversation.markdown import code_block, code_span
from chatstore_cli.render.conversation.wrapping import cut, wrapped
from chatstore_cli.render.safe import sanitize_line, sanitize_text
from chatstore_cli.render.widths import width_of

TEXTS = st.text(
    st.sampled_from("ab \n\t漢é👍🏽\u0301\u200d👨👩مx") | st.characters(exclude_categories=["Cs"]), max_size=60
)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 4, ["one", "two"]),
        ("    indented text here", 14, ["    indented", "text here"]),
        ("abcdefgh ij", 4, ["abcd", "efgh", "ij"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("a\n\nb", 10, ["a", "", "b"]),
        ("👨\u200d👩\u200d👧👨\u200d👩\u200d👧", 3, ["👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"]),
        ("a\tb", 80, ["a   b"]),
        ("", 5, [""]),
    ],
)
def test_words_are_kept_whole_where_they_fit(text: str, width: int, lines: list[str]) -> None:
    assert list(wrapped(text, width)) == lines


@given(TEXTS, st.integers(4, 30))
def test_no_line_is_wider_and_no_character_is_lost(text: str, width: int) -> None:
    text = sanitize_text(text)
    lines = list(wrapped(text, width))
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert list(wrapped(text, None)) == text.expandtabs(4).split("\n")


@given(TEXTS, st.integers(2, 30))
def test_a_cut_text_is_the_beginning_and_fits(text: str, width: int) -> None:
    text = sanitize_line(text)
    shown = cut(text, width)
    assert width_of(shown) <= width
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


@example("```\n~~~\n<b>x</b>")
@example("````\n~~~~~\nx")
@given(st.text(st.sampled_from("`~ \n#>a"), max_size=30))
def test_code_is_never_closed_by_its_text(text: str) -> None:
    from markdown_it import MarkdownIt

    [block] = MarkdownIt("commonmark").parse("".join(code_block(text)))
    assert (block.type, block.content) == ("fence", text + "\n")
    line = sanitize_line(text)
    if line.strip():
        [_, paragraph, _] = MarkdownIt("commonmark").parse(f"x {code_span(text)} y")
        assert [(child.type, child.content) for child in paragraph.children or ()][1] == ("code_inline", line)
