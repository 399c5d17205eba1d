"""The questions about customers as a page for a browser: both records side by side, and what to do.

One file that needs nothing else: no script, no style, no picture from elsewhere. Everything in it that comes from a record is
escaped. Pure: reviews in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import jinja2

from qbsf_pipeline.customers.matching.messages import totals
from qbsf_pipeline.customers.matching.side_by_side import disagreement, shown_score, shown_verdict
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.state.reviews import Review

_MOST_IN_MARKDOWN = 50
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Customers to name · qbsf</title>
<link rel="icon" href="data:,">
<style>
  :root {
    color-scheme: light dark;
    --paper: #f4f5f7; --card: #fff; --ink: #1c2330; --soft: #5c6675; --line: #e0e4ea; --head: #f8f9fb; --tone: #0b57a4;
    --good: #116b2f; --good-bg: #e4f4e8; --bad: #a8211a; --bad-bg: #fce8e6;
    --plain-bg: #eceef2; --warn: #7a4f00; --warn-bg: #fdf1d8;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --paper: #12151b; --card: #1b2029; --ink: #e7eaf0; --soft: #9aa5b5; --line: #2f3743; --head: #212733; --tone: #8fc1ff;
      --good: #86dba0; --good-bg: #17351f; --bad: #ff9d94; --bad-bg: #43201d;
      --plain-bg: #2a303b; --warn: #f0c36d; --warn-bg: #3a2d10;
    }
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--paper); color: var(--ink);
         font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
  main { max-width: 1280px; margin: 0 auto; padding: 22px 22px 60px; }
  h1 { font-size: 21px; margin: 0; letter-spacing: -.01em; } h2 { font-size: 16px; margin: 0; overflow-wrap: anywhere; }
  a { color: var(--tone); text-decoration: none; } a:hover { text-decoration: underline; }
  .lead { color: var(--soft); margin: 4px 0 0; } .lead b { color: var(--ink); font-weight: 600; }
  nav { margin: 14px 0 0; display: grid; gap: 1px; background: var(--line); border: 1px solid var(--line); border-radius: 10px;
        overflow: hidden; }
  nav a { display: grid; grid-template-columns: 60px minmax(0, 1fr) 90px 190px; gap: 12px; padding: 7px 14px;
          background: var(--card); color: var(--ink); } nav a:hover { background: var(--head); text-decoration: none; }
  nav span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  nav .soft { color: var(--soft); } nav .right { text-align: right; font-variant-numeric: tabular-nums; }
  article { background: var(--card); border: 1px solid var(--line); border-radius: 12px; margin: 20px 0 0;
            padding: 16px 18px 18px; }
  .top { display: flex; gap: 14px; align-items: baseline; }
  .top .right { margin-left: auto; text-align: right; white-space: nowrap; }
  .amount { font-weight: 650; font-variant-numeric: tabular-nums; } .soft { color: var(--soft); } .small { font-size: 12.5px; }
  .chip { font-size: 11.5px; padding: 1px 8px; border-radius: 20px; background: var(--plain-bg); color: var(--soft);
          white-space: nowrap; }
  .chip.warn { color: var(--warn); background: var(--warn-bg); }
  .question { margin: 8px 0 4px; font-size: 15px; overflow-wrap: anywhere; }
  ul.deals { margin: 6px 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; }
  .scroll { overflow-x: auto; margin: 12px -18px 0; padding: 0 18px; }
  table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0;
          border-bottom: 1px solid var(--line); } th { font-weight: 600; } td, thead th { min-width: 150px; }
  tbody th, thead th:first-child { color: var(--soft); font-weight: 500; min-width: 120px; width: 130px; }
  td { overflow-wrap: anywhere; } td.cell { padding-left: 10px; } thead th.cell { padding-left: 10px; }
  .agrees { background: var(--good-bg); } .differs { background: var(--bad-bg); }
  .verdict { display: block; font-size: 11.5px; color: var(--soft); font-weight: 400; }
  td .verdict { float: right; margin: 2px 0 0 12px; }
  .agrees .verdict { color: var(--good); } .differs .verdict { color: var(--bad); font-weight: 600; }
  code { background: var(--plain-bg); border-radius: 5px; padding: 2px 7px;
         font: 12.5px/1.6 ui-monospace, SFMono-Regular, Menlo, monospace;
         user-select: all; -webkit-user-select: all; overflow-wrap: anywhere; }
  dl { margin: 14px 0 0; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 5px 14px; }
  dt { color: var(--soft); } dd { margin: 0; }
  .empty { text-align: center; padding: 60px 20px; color: var(--soft); }
  .empty b { color: var(--good); font-size: 17px; display: block; }
  @media (max-width: 700px) {
    nav a { grid-template-columns: 50px minmax(0, 1fr) auto; } nav .wide { display: none; } .top { flex-wrap: wrap; }
  }
  @media print { body { background: #fff; } article { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<header>
  <h1>Customers to name</h1>
  <p class="lead">
  {% if cards %}<b>{{ cards|length }} account{{ "s" if cards|length != 1 }}</b>
    in Salesforce {{ "has" if cards|length == 1 else "have" }} no customer in QuickBooks that is certain.
    {% if deals %}<b>{{ deals }} won deal{{ "s" if deals != 1 }}</b>{% if amount %} over <b>{{ amount }}</b>{% endif %}
    {{ "waits" if deals == 1 else "wait" }} for the answer.{% endif %}{% endif %}
    As of {{ now }}.</p>
</header>
{% if not cards %}
<article class="empty"><b>Nothing waits for you.</b> Every account with a won deal has its customer.</article>{% endif %}
{% if cards|length > 3 %}<nav aria-label="All questions">
  {% for card in cards %}<a href="#{{ card.id }}"><span class="soft">{{ card.id }}</span><span>{{ card.name }}</span>
    <span class="soft right wide">{{ card.deals_text }}</span><span class="right">{{ card.amount or "" }}</span></a>
  {% endfor %}</nav>{% endif %}
{% for card in cards %}
<article id="{{ card.id }}">
  <div class="top">
    <h2>{% if card.link %}<a href="{{ card.link }}">{{ card.name }}</a>{% else %}{{ card.name }}{% endif %}</h2>
    <span class="chip">{{ card.id }}</span>
    <div class="right">{% if card.amount %}<span class="amount">{{ card.amount }}</span> {% endif %}
      <span class="soft">{{ card.deals_text }} · since {{ card.since }}</span></div>
  </div>
  <p class="question">{{ card.question }}</p>
  {% if card.deals %}<ul class="deals small">{% for deal in card.deals %}
    <li>{% if deal.link %}<a href="{{ deal.link }}">{{ deal.name }}</a>{% else %}{{ deal.name }}{% endif %}
      <span class="soft">{{ deal.amount }}</span></li>{% endfor %}
    {% if card.more_deals %}<li class="soft">and {{ card.more_deals }} more</li>{% endif %}</ul>{% endif %}
  {% if card.candidates %}
  <div class="scroll"><table>
    <thead><tr><th></th><th>Salesforce account</th>
    {% for one in card.candidates %}<th class="cell">
      {% if one.link %}<a href="{{ one.link }}">{{ one.name }}</a>{% else %}{{ one.name }}{% endif %}
      <span class="verdict">QuickBooks customer {{ one.id }}{% if one.score %} · likeness {{ one.score }}{% endif %}</span>
      {% for note in one.notes %}<span class="chip warn">{{ note }}</span> {% endfor %}</th>{% endfor %}</tr></thead>
    <tbody>
    {% for row in card.rows %}<tr><th scope="row">{{ row.field }}</th><td>{{ row.account_value or "-" }}</td>
      {% for cell in row.cells %}{% if cell %}<td class="cell {{ cell.verdict }}">
        <span class="verdict">{{ cell.word }}</span>{{ cell.value or "-" }}</td>
      {%- else %}<td class="cell">-</td>{% endif %}{% endfor %}</tr>
    {% endfor %}
    </tbody>
  </table></div>
  {% endif %}
  <dl>
    {% for one in card.candidates %}<dt>It is {{ one.name }}</dt>
    <dd>{% if one.inactive %}make it active in QuickBooks, then {% endif %}
      <code>qbsf review link {{ card.id }} {{ one.id }}</code></dd>{% endfor %}
    <dt>{{ "None of them: create a customer" if card.candidates else "Create a customer" }}</dt>
    <dd><code>qbsf review create {{ card.id }}</code></dd>
    <dt>Never invoice this account</dt><dd><code>qbsf review ignore {{ card.id }}</code></dd>
    <dt>Or in Salesforce</dt><dd>fill the QuickBooks customer id on the account ({{ customer_id_field }})</dd>
  </dl>
</article>
{% endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class PageLinks:
    """Where a person opens a record, with ``{id}`` for its id; ``None`` where that is not known."""

    account: str | None = None
    deal: str | None = None
    customer: str | None = None


def review_page(
    reviews: Sequence[Review], links: PageLinks, now: datetime, customer_id_field: str = "QuickBooks_Customer_Id__c"
) -> str:
    """The page, the largest waiting amount first.

    Args:
        reviews: the open ones.
        now: aware; when the page is made.
        customer_id_field: API name of the account's field for the customer id.
    """
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return template.render(
        cards=[_card(one, links) for one in by_amount(reviews)],
        deals=sum(one.deals_waiting for one in reviews),
        amount=totals(reviews),
        now=f"{now:%d %b %Y, %H:%M} UTC",
        customer_id_field=customer_id_field,
    )


def questions_as_markdown(reviews: Sequence[Review]) -> str:
    """The questions as a table for the Dagster UI."""
    if not reviews:
        return "No account waits for a person."
    lines = ["| Review | Account | Waiting | Question | Best candidate |", "| --- | --- | ---: | --- | --- |"]
    ordered = by_amount(reviews)
    for one in ordered[:_MOST_IN_MARKDOWN]:
        best = next(iter((one.details or {}).get("candidates", ())), None)
        told = "" if best is None else f"{best['customer']['display_name'] or '-'} ({best['customer']['customer_id']})"
        against = "" if best is None else disagreement(best)
        waiting = totals([one]) or f"{one.deals_waiting} deals"
        cells = (one.review_id, one.account_name, waiting, one.question, f"{told}, differs in {against}" if against else told)
        lines.append("| " + " | ".join(_markdown(cell) for cell in cells) + " |")
    if len(ordered) > _MOST_IN_MARKDOWN:
        lines.append(f"\nand {len(ordered) - _MOST_IN_MARKDOWN} more: `qbsf review`")
    return "\n".join(lines)


def by_amount(reviews: Sequence[Review]) -> list[Review]:
    """Reviews with the largest waiting amount first, then by age."""
    return sorted(
        reviews, key=lambda one: (-(one.amount_waiting or Decimal(0)), -one.deals_waiting, one.opened_at, one.review_id)
    )


def _card(one: Review, links: PageLinks) -> dict[str, Any]:
    details = one.details or {}
    candidates = details.get("candidates") or []
    return {
        "id": one.review_id,
        "name": one.account_name,
        "link": _link(links.account, one.account_id),
        "question": one.question,
        "amount": totals([one]),
        "deals_text": f"{one.deals_waiting} deal{'s' if one.deals_waiting != 1 else ''}",
        "since": f"{one.opened_at:%d %b %Y}",
        "deals": [
            {
                "name": deal["name"] or deal["opportunity_id"],
                "amount": _money(deal["amount"], deal["currency"]),
                "link": _link(links.deal, deal["opportunity_id"]),
            }
            for deal in details.get("deals", ())
        ],
        "more_deals": details.get("more_deals", 0),
        "candidates": [_candidate(candidate, links) for candidate in candidates] or _bare(one, links),
        "rows": _rows(candidates),
    }


def _candidate(candidate: dict[str, Any], links: PageLinks) -> dict[str, Any]:
    customer = candidate["customer"]
    balance = customer["balance"]
    notes = [] if customer["active"] else ["inactive"]
    notes += [f"sub-customer of {customer['parent']}"] if customer["parent"] else []
    notes += [f"owes {_money(balance, customer['currency'])}"] if balance else []
    return {
        "id": customer["customer_id"],
        "name": customer["display_name"] or f"customer {customer['customer_id']}",
        "link": _link(links.customer, customer["customer_id"]),
        "score": shown_score(candidate["score"]),
        "notes": notes,
        "inactive": not customer["active"],
    }


def _bare(one: Review, links: PageLinks) -> list[dict[str, Any]]:
    """Candidates of a review that has no details, as after an upgrade: their names and ids."""
    return [
        {
            "id": candidate["customer_id"],
            "name": candidate.get("display_name") or f"customer {candidate['customer_id']}",
            "link": _link(links.customer, candidate["customer_id"]),
            "score": "",
            "notes": [],
            "inactive": False,
        }
        for candidate in one.candidates
    ]


def _rows(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    fields: dict[str, str | None] = {}
    for candidate in candidates:
        for field in candidate["fields"]:
            fields.setdefault(field["field"], field["account_value"])
    by_field = [{field["field"]: field for field in candidate["fields"]} for candidate in candidates]
    return [
        {"field": name, "account_value": value, "cells": [_cell(fields_of.get(name)) for fields_of in by_field]}
        for name, value in fields.items()
    ]


def _cell(field: dict[str, Any] | None) -> dict[str, Any] | None:
    if field is None:
        return None
    verdict = field["verdict"]
    shown = verdict if verdict in ("agrees", "differs") else "quiet"
    return {"value": field["customer_value"], "verdict": shown, "word": shown_verdict(field)}


def _money(amount: Any, currency: str | None) -> str:
    return "" if amount is None else format_amount(Decimal(str(amount)), currency or "").strip()


def _link(template: str | None, record_id: str) -> str | None:
    # Ids of both services are letters and digits; anything else is no id, and no part of a link.
    if template is None or not record_id.isalnum() or not template.startswith(("https://", "http://")):
        return None
    return template.replace("{id}", record_id)


def _markdown(text: str) -> str:
    flat = " ".join(text.split())
    return _MARKDOWN.sub(r"\\\1", flat).replace("<", "&lt;").replace(">", "&gt;")
