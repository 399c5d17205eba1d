"""The bridge from won to invoiced as a picture: a waterfall, drawn by Vega-Lite without a browser or a network.

Only where a bar begins and ends is a binary fraction; every amount that can be read is text made from the Decimal itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qbsf_pipeline.money import to_cents

#: Colours of the bars; each differs from its neighbours in brightness too, for readers who see no colours and for print.
_COLOURS = {"total": "#1f3a5f", "less": "#c0604d", "more": "#4d9a6a", "unexplained": "#e0a100"}
_WIDTH, _ROW = 440, 32
_LONGEST_LINE, _MOST_LINES = 26, 2
_LINE_HEIGHT = 13
#: Below this part of the largest value, the steps would be slivers on an axis that begins at zero.
_LEAST_SPREAD = Decimal("0.2")


@dataclass(frozen=True)
class Step:
    """One class of the bridge.

    Attributes:
        title: of the class.
        amount: sum of won less invoiced of its cases; above zero it lowers what is invoiced.
        cases: how many it has.
        explained: False for what has no cause.
    """

    title: str
    amount: Decimal
    cases: int
    explained: bool = True


@dataclass(frozen=True)
class Waterfall:
    """The picture's content: ``won`` less each step is ``invoiced``, all in ``currency``. Steps of zero are not drawn."""

    currency: str
    won: Decimal
    steps: Sequence[Step]
    invoiced: Decimal

    @property
    def drawn(self) -> list[Step]:
        """The steps that change the amount."""
        return [step for step in self.steps if step.amount]

    @property
    def begins_at(self) -> Decimal:
        """Where the axis begins: 0, or a larger amount where the steps are small beside what was won."""
        levels = [self.won, self.invoiced, *(end for _, _, end in self._levels())]
        low, high = min(levels), max(levels)
        if low <= 0 or low == high or high - low >= _LEAST_SPREAD * high:
            return Decimal(0)
        round_number = Decimal(1).scaleb((high - low).adjusted())
        return (low - (high - low) / 3) // round_number * round_number

    @property
    def description(self) -> str:
        """The picture in words, for those who do not see it."""
        steps = ", ".join(f"{step.title} {change(step.amount)}" for step in self.drawn)
        told = f"Waterfall in {self.currency}: won {to_cents(self.won):,.2f}"
        return f"{told}, {steps + ', ' if steps else ''}invoiced {to_cents(self.invoiced):,.2f}."

    def svg(self) -> str:
        """The picture as an ``svg`` element that fits the width of the page. Its text is escaped."""
        import vl_convert

        drawing: str = vl_convert.vegalite_to_svg(self.specification(), allowed_base_urls=[])
        return drawing

    def png(self) -> bytes:
        """The picture as PNG, twice as fine as a screen."""
        import vl_convert

        picture: bytes = vl_convert.vegalite_to_png(self.specification(), scale=2, allowed_base_urls=[])
        return picture

    def specification(self) -> dict[str, Any]:
        """The picture in the grammar of Vega-Lite (https://vega.github.io/vega-lite/docs/)."""
        rows = self._rows()
        row = {"field": "row", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0.35, "paddingOuter": 0.2}}
        ends = [float(value) for one in rows for value in (one["from"], one["to"])]
        low, high = min(ends), max(ends)
        scale = {"domain": [low, high if high > low else low + 1], "nice": False, "zero": False}
        base = self.begins_at
        title = f"{self.currency}, the axis begins at {base:,.2f}" if base else self.currency
        axis = {"orient": "top", "format": ",~f", "tickCount": 4, "title": title}
        amount = {"type": "quantitative", "scale": scale, "axis": axis}
        colours = {"domain": list(_COLOURS), "range": list(_COLOURS.values())}
        colour = {"field": "kind", "type": "nominal", "legend": None, "scale": colours}
        bold = {"condition": {"test": "datum.kind == 'total'", "value": 700}, "value": 400}
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": _WIDTH,
            "height": {"step": _ROW},
            "padding": 6,
            "background": "#ffffff",
            "data": {"values": rows},
            "layer": [
                {
                    "transform": [{"filter": "datum.next != null"}],
                    "mark": {"type": "rule", "color": "#8a94a3", "strokeDash": [2, 2], "aria": False},
                    "encoding": {"y": row, "y2": {"field": "next"}, "x": {"field": "level", **amount}},
                },
                {
                    # The outline keeps the smallest amount visible.
                    "mark": {"type": "bar", "strokeWidth": 1.5, "aria": False},
                    "encoding": {
                        "y": row,
                        "x": {"field": "from", **amount},
                        "x2": {"field": "to"},
                        "color": colour,
                        "stroke": colour,
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 7, "aria": False},
                    "encoding": {
                        "y": row,
                        "x": {"field": "right", **amount},
                        "text": {"field": "shown"},
                        "fontWeight": bold,
                    },
                },
                {
                    "mark": {
                        "type": "text",
                        "align": "right",
                        "x": -12,
                        "lineHeight": _LINE_HEIGHT,
                        "dy": {"expr": f"(1 - length(datum.label)) * {_LINE_HEIGHT / 2}"},
                        "aria": False,
                    },
                    "encoding": {"y": row, "text": {"field": "label"}, "fontWeight": bold},
                },
            ],
            "config": {
                "font": "Liberation Sans, Arial, Helvetica, sans-serif",
                "view": {"stroke": None},
                "text": {"fontSize": 12, "color": "#1c2330"},
                "axis": {
                    "domain": False,
                    "ticks": False,
                    "gridColor": "#e0e4ea",
                    "labelColor": "#5c6675",
                    "labelFontSize": 11,
                    "titleColor": "#5c6675",
                    "titleFontWeight": 400,
                    "titleFontSize": 11,
                },
            },
        }

    def _levels(self) -> Iterator[tuple[Step, Decimal, Decimal]]:
        """Each drawn step with the amount before and after it."""
        level = self.won
        for step in self.drawn:
            yield step, level, level - step.amount
            level -= step.amount

    def _rows(self) -> list[dict[str, Any]]:
        base = self.begins_at
        bars = [(["Won"], "total", base, self.won, f"{to_cents(self.won):,.2f}")]
        for step, before, after in self._levels():
            kind = "unexplained" if not step.explained else "less" if step.amount > 0 else "more"
            bars.append((_lines(step.title, f"({step.cases:,})"), kind, before, after, change(step.amount)))
        bars.append((["Invoiced"], "total", base, self.invoiced, f"{to_cents(self.invoiced):,.2f}"))
        return [
            {
                "row": place,
                "next": place + 1 if place + 1 < len(bars) else None,
                "label": label,
                "kind": kind,
                "from": float(start),
                "to": float(end),
                "level": float(end),
                "right": float(max(start, end)),
                "shown": shown,
            }
            for place, (label, kind, start, end, shown) in enumerate(bars)
        ]


def change(amount: Decimal) -> str:
    """What a difference of won less invoiced does to the amount, with its sign: 12.50 is ``-12.50``, -3 is ``+3.00``."""
    return f"{to_cents(-amount):+,.2f}" if amount else "0.00"


def _lines(title: str, number: str) -> list[str]:
    """The title in at most two lines, and the number of cases, which is never cut off."""
    lines = textwrap.wrap(title, _LONGEST_LINE, max_lines=_MOST_LINES, placeholder=" …") or [""]
    return [*lines[:-1], f"{lines[-1]} {number}"]
