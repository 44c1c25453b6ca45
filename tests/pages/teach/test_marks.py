"""Marks in the texts of a lesson: as HTML, left out, and as Streamlit's Markdown."""

import pytest

from pages.teach import marks


@pytest.mark.parametrize(
    ("text", "html", "plain", "markdown"),
    [
        ("**bold**", "<strong>bold</strong>", "bold", "**bold**"),
        ("an *em* word", "an <em>em</em> word", "an em word", "an *em* word"),
        ("`a * b`", "<code>a * b</code>", "a * b", "`a * b`"),
        ("2 * 3 * 4", "2 * 3 * 4", "2 * 3 * 4", r"2 \* 3 \* 4"),
        ("t* and t*", "t* and t*", "t* and t*", r"t\* and t\*"),
        ("t*, not t*.", "t*, not t*.", "t*, not t*.", r"t\*, not t\*."),
        ("**t* is 3**", "<strong>t* is 3</strong>", "t* is 3", r"**t\* is 3**"),
        ("*t* is open", "<em>t</em> is open", "t is open", "*t* is open"),
        ("a ** b", "a ** b", "a ** b", r"a \*\* b"),
    ],
)
def test_marks_are_read_alike_everywhere(text, html, plain, markdown):
    assert marks.html(text) == html
    assert marks.plain(text) == plain
    assert marks.markdown(text) == markdown
