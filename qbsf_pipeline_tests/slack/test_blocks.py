"""Messages that Slack takes, whatever is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.slack import blocks


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme & Co <!channel>", "Acme &amp; Co &lt;!channel&gt;"),
        ('O\'Brien "x"', 'O\'Brien "x"'),
        ("a\r\nb\rc\x00\x07", "a\nb\nc"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_other_peoples_text_is_shown_as_it_is(text, shown):
    assert blocks.escape(text) == shown


@pytest.mark.parametrize(
    ("url", "label", "shown"),
    [
        ("https://x/y?a=1&b=2", "Acme", "<https://x/y?a=1&amp;b=2|Acme>"),
        ("https://x/y", "A|B\nC <!here>", "<https://x/y|A B C &lt;!here&gt;>"),
        ("https://x/a b|c>d<e\n", "l", "<https://x/a%20b%7Cc%3Ed%3Ce|l>"),
        (None, "Acme & Co", "Acme &amp; Co"),
        ("javascript:alert(1)", "Acme", "Acme"),
        ("https://x/" + "a" * 3000, "Acme", "Acme"),
        ("https://x/", "", "<https://x/|https://x/>"),
    ],
)
def test_a_link_cannot_be_broken_by_its_label_or_address(url, label, shown):
    assert blocks.link(url, label) == shown


@given(st.text(max_size=400), st.text(max_size=400))
def test_a_link_is_one_link_whatever_is_in_it(path, label):
    shown = blocks.link("https://x/" + path, label)
    assert (shown.count("<"), shown.count(">"), shown.count("|")) == (1, 1, 1)
    assert "\n" not in shown


LINES = st.lists(st.text(alphabet="ab <>&|*\n\U0001f600", max_size=4000), max_size=40)


@given(LINES, st.text(max_size=9000))
def test_every_message_obeys_the_limits_and_none_of_the_blocks_is_left_out(lines, text):
    made = [blocks.header(text), *blocks.sections([blocks.escape(line) for line in lines]), blocks.context(text)]
    messages = blocks.split(text, made)
    assert [block for message in messages for block in message.blocks] == made
    for message in messages:
        assert 0 < len(message.blocks) <= 50
        assert sum(blocks.characters(block) for block in message.blocks) <= 9000
        assert len(message.text) <= 3900
        for block in message.blocks:
            if block["type"] == "section":
                assert 0 < len(block["text"]["text"]) <= 3000
            if block["type"] == "header":
                assert 0 < len(block["text"]["text"]) <= 150


def test_lines_are_not_torn_apart():
    lines = [f"{number:04d} " + "x" * 900 for number in range(7)]
    found = blocks.sections(lines)
    assert len(found) == 3
    assert "\n".join(block["text"]["text"] for block in found) == "\n".join(lines)


def test_more_than_fifty_blocks_become_several_numbered_messages():
    messages = blocks.split("120 invoices", [blocks.divider()] * 120)
    assert [len(message.blocks) for message in messages] == [50, 50, 20]
    assert [message.text for message in messages] == [f"120 invoices ({n}/3)" for n in (1, 2, 3)]


@pytest.mark.parametrize("tail", ["&amp;", "<https://x/y|label>", "&lt;!channel&gt;"])
@pytest.mark.parametrize("before", range(2980, 3002))
def test_a_shortened_text_is_never_cut_inside_a_link_or_an_entity(tail, before):
    text = blocks.section("x" * before + tail + "y" * 50)["text"]["text"]
    assert len(text) <= 3000
    rest = text.rstrip("…").lstrip("x")
    assert rest == "" or rest.startswith(("&amp;", "<https://x/y|label>", "&lt;"))
    assert text.count("<") == text.count(">")
    assert not text.rstrip("…").endswith("&")


def test_a_message_as_text_says_what_its_blocks_said():
    made = [blocks.header("Invoices"), blocks.section("*Acme* 1.00 USD"), blocks.divider(), blocks.context("from qbsf")]
    assert blocks.as_text("Invoices", made) == "Invoices\n*Acme* 1.00 USD\nfrom qbsf"
    assert len(blocks.as_text("x", [blocks.section("y" * 3000)] * 3)) <= 3900
    fields = {"type": "section", "fields": [{"type": "mrkdwn", "text": "a"}, {"type": "mrkdwn", "text": "b"}]}
    assert blocks.as_text("x", [fields]) == "x\na\nb"
