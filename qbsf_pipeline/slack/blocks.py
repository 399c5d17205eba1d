"""Building Slack messages that Slack takes: escaping, links, and its limits. Pure.

Names of customers and deals are other people's text: unescaped, ``<!channel>`` in one of them would ring every phone.

Belongs here: the form of a message. Does not belong here: what is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Block = dict[str, Any]

#: Slack's limits are 50 blocks, 3000 characters in a section and 150 in a header. The whole message has a limit that is
#: not documented: 9.6 thousand characters were seen to be taken and 11.3 thousand refused.
MOST_BLOCKS = 50
LONGEST_SECTION = 3000
LONGEST_HEADER = 150
LONGEST_MESSAGE = 9000
LONGEST_TEXT = 3900
MOST_CONTEXT_ELEMENTS = 10

_ELLIPSIS = "…"
_LONGEST_LABEL = 300
_LONGEST_URL = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# An entity or a link must not be cut through the middle.
_CUT_ENTITY = re.compile(r"&[a-z#0-9]{0,5}$")
_CUT_LINK = re.compile(r"<[^<>]*$")


@dataclass(frozen=True)
class SlackContent:
    """What one message shows: blocks, and the text for notifications and for where blocks cannot be shown."""

    text: str
    blocks: list[Block]


def escape(text: str) -> str:
    """``text`` as mrkdwn that shows it as it is: ``&``, ``<`` and ``>`` as entities, control characters left out."""
    cleaned = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return cleaned.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def link(url: str | None, label: str) -> str:
    """A link in mrkdwn, or only the label where ``url`` is none that can be linked."""
    shown = escape(_shortened(" ".join(label.replace("|", " ").split()), _LONGEST_LABEL))
    if not url or len(url) > _LONGEST_URL or not url.startswith(("https://", "http://")):
        return shown
    target = url.replace("&", "&amp;")
    for character, code in ((" ", "%20"), ("<", "%3C"), (">", "%3E"), ("|", "%7C"), ("\n", ""), ("\r", ""), ("\t", "")):
        target = target.replace(character, code)
    return f"<{target}|{shown or target}>"


def header(text: str) -> Block:
    """A line in large type. ``text`` is plain, not mrkdwn."""
    shown = _shortened(" ".join(_CONTROL.sub("", text).split()), LONGEST_HEADER)
    return {"type": "header", "text": {"type": "plain_text", "text": shown or "-", "emoji": False}}


def section(mrkdwn: str) -> Block:
    """A paragraph of mrkdwn, shortened to what a section takes. Use :func:`sections` where nothing may be lost."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(mrkdwn, LONGEST_SECTION) or "-"}}


def sections(lines: Sequence[str]) -> list[Block]:
    """Lines of mrkdwn, as few sections as hold them, none cut in two unless it is too long for one section."""
    found: list[Block] = []
    current: list[str] = []
    length = 0
    for line in lines:
        whole = _cut(line, LONGEST_SECTION)
        if current and length + 1 + len(whole) > LONGEST_SECTION:
            found.append(section("\n".join(current)))
            current, length = [], 0
        length += len(whole) + (1 if current else 0)
        current.append(whole)
    if current:
        found.append(section("\n".join(current)))
    return found


def context(*mrkdwn: str) -> Block:
    """A line in small grey type."""
    elements = [{"type": "mrkdwn", "text": _cut(text, LONGEST_SECTION) or "-"} for text in mrkdwn[:MOST_CONTEXT_ELEMENTS]]
    return {"type": "context", "elements": elements or [{"type": "mrkdwn", "text": "-"}]}


def divider() -> Block:
    """A line across."""
    return {"type": "divider"}


def split(text: str, blocks: Sequence[Mapping[str, Any]]) -> list[SlackContent]:
    """The blocks as one message, or as several where one would break Slack's limits; in order, nothing left out.

    Every message gets ``text``, shortened, with its number where there are several.
    """
    groups: list[list[Block]] = [[]]
    length = 0
    for block in blocks:
        size = characters(block)
        if groups[-1] and (len(groups[-1]) >= MOST_BLOCKS or length + size > LONGEST_MESSAGE):
            groups.append([])
            length = 0
        groups[-1].append(dict(block))
        length += size
    if len(groups) == 1:
        return [SlackContent(_cut(text, LONGEST_TEXT), groups[0])]
    return [
        SlackContent(f"{_cut(text, LONGEST_TEXT - 20)} ({number}/{len(groups)})", group)
        for number, group in enumerate(groups, start=1)
    ]


def characters(block: Mapping[str, Any]) -> int:
    """The characters of a block that count towards the limit of a message."""
    return sum(len(text) for text in _texts(block))


def as_text(text: str, blocks: Sequence[Mapping[str, Any]]) -> str:
    """A message without blocks that says what the blocks said, as far as a text may be long."""
    lines = [text, *(shown for block in blocks for shown in _texts(block))]
    kept = [line for number, line in enumerate(lines) if line and line not in lines[:number]]
    return _cut("\n".join(kept), LONGEST_TEXT)


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for name, part in value.items() if name != "text" or not own for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return []


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + _ELLIPSIS


def _cut(mrkdwn: str, most: int) -> str:
    if len(mrkdwn) <= most:
        return mrkdwn
    kept = mrkdwn[: most - 1]
    kept = _CUT_LINK.sub("", kept)
    return _CUT_ENTITY.sub("", kept) + _ELLIPSIS
