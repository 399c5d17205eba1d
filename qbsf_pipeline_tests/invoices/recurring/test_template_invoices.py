"""Invoices that templates made find their deal and period, or wait for a person; none counts for two."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.invoices.recurring.known_templates import DealTemplate
from qbsf_pipeline.invoices.recurring.template_invoices import MadeByTemplates, TemplateInvoices
from qbsf_pipeline.invoices.recurring.templates import FoundInvoice
from qbsf_pipeline_tests.invoices.recurring.deals import TERMS, schedule

YEAR = schedule()
DEAL, OTHER = TERMS.opportunity_id, "006000000000002AAA"
DAYS = tuple(period.due_on for period in YEAR.periods)
LINES = (("7", Decimal("100.00")),)
TEMPLATE = DealTemplate(DEAL, 0, "1483", "live", "Deal 1", "26", LINES, DAYS)


def made(number: str = "900", day: str = "2026-02-01", template_id: str | None = "1483", **values: Any) -> FoundInvoice:
    return replace(FoundInvoice(number, "26", date.fromisoformat(day), template_id, DEAL, LINES), **values)


def found(
    *invoices: FoundInvoice,
    templates: tuple[DealTemplate, ...] = (TEMPLATE,),
    links: dict[str, str] | None = None,
    taken: tuple[int, ...] = (),
    own: tuple[str, ...] = (),
    net: str = "100.00",
) -> TemplateInvoices:
    by_templates = MadeByTemplates(templates, invoices, links or {}, 3)
    named = [one.invoice_id for one in invoices if one.opportunity_id == DEAL or (links or {}).get(one.invoice_id) == DEAL[:15]]
    return by_templates.of_deal(DEAL, YEAR, taken, own, named, {one: Decimal(net) for one in named})


BARE = made(template_id=None, opportunity_id=None)
FOREIGN = made(template_id="77")


@pytest.mark.parametrize(
    ("got", "placed", "unplaced", "unsure"),
    [
        (found(made(), made("901", "2026-03-02")), {0: "900", 1: "901"}, (), 0),
        # RecurDataRef alone, the marker alone, and neither of them.
        (found(made(opportunity_id=None)), {0: "900"}, (), 0),
        (found(made(template_id=None)), {0: "900"}, (), 0),
        (found(BARE), {0: "900"}, (), 0),
        (found(BARE, replace(BARE, invoice_id="901")), {}, (), 2),
        (found(BARE, templates=(TEMPLATE, replace(TEMPLATE, opportunity_id=OTHER, template_id="2"))), {}, (), 1),
        (found(replace(BARE, customer_id="27")), {}, (), 0),
        # A template that was deleted since, and one whose answer is looked for.
        (found(made(), templates=(replace(TEMPLATE, status="ended"),)), {0: "900"}, (), 0),
        (found(BARE, templates=(replace(TEMPLATE, status="under_way", template_id=None),)), {}, (), 0),
        # Too far from any day, a second one for the same day, and a period that was billed otherwise.
        (found(made(day="2026-02-12")), {}, ("900",), 0),
        (found(made(), made("901")), {0: "900"}, ("901",), 0),
        (found(made(), taken=(0,)), {}, ("900",), 0),
        (found(made(), own=("900",)), {}, (), 0),
        (found(made(), links={"900": OTHER[:15]}), {}, (), 0),
        # Two templates follow each other.
        (
            found(
                made(template_id=None),
                made("901", "2026-08-01", template_id=None),
                templates=(replace(TEMPLATE, days=DAYS[:6]), replace(TEMPLATE, template_id="1500", days=DAYS[6:])),
            ),
            {0: "900", 6: "901"},
            (),
            0,
        ),
        # Somebody else's template: by the marker or a person's link, where day and amount fit one open period.
        (found(FOREIGN, templates=()), {0: "900"}, (), 0),
        (found(replace(FOREIGN, opportunity_id=None), templates=(), links={"900": DEAL[:15]}), {0: "900"}, (), 0),
        (found(replace(FOREIGN, opportunity_id=None), templates=()), {}, (), 0),
        (found(FOREIGN, templates=(), net="99.99"), {}, ("900",), 0),
        (found(FOREIGN, templates=(), taken=(0,)), {}, ("900",), 0),
        (found(replace(FOREIGN, txn_date=None), templates=()), {}, ("900",), 0),
    ],
)
def test_an_invoice_is_placed_where_it_fits_and_nowhere_else(
    got: TemplateInvoices, placed: dict[int, str], unplaced: tuple[str, ...], unsure: int
) -> None:
    assert (dict(got.placed), got.unplaced, len(got.unsure)) == (placed, unplaced, unsure)
    assert len(set(got.placed.values())) == len(got.placed)


def test_only_a_template_that_may_still_make_invoices_makes_its_deal_one_that_is_billed_by_it() -> None:
    statuses = ("under_way", "live", "gone", "leaving", "ended", "taken_over")
    deals = [bool(MadeByTemplates([replace(TEMPLATE, status=status)], [], {}, 3).deals) for status in statuses]
    assert deals == [True, True, False, True, False, False]
