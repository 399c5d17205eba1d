"""What finance reads about a case: one or two sentences with amounts, dates, numbers and names. Pure; whole frames at once."""

from __future__ import annotations

from datetime import date

import polars as pl

from qbsf_pipeline.reconciliation import classes as c
from qbsf_pipeline.reconciliation.deciding import CONTESTED, INVOICE_NOT_FOUND
from qbsf_pipeline.warehouse.tables import AMOUNT

#: Lists of numbers are cut here: a deal may have hundreds of invoices, and a cell of a workbook has 32,767 characters.
_LONGEST_LIST = 200
_CENTS = len(".00")
_MATCHED = "{} {} the whole deal: {}."
_STATUSES = {"lost": "lost", "open": "open again", "deleted": "deleted in Salesforce"}
_PARTS = {
    "recurring": "billed by a schedule",
    "deposit": "billed in parts, with a deposit",
    "several_invoices": "billed in parts",
    "some_products": "billed for some of its products",
}
_LINES = {
    "line_added_in_salesforce": "was added to the deal after invoicing",
    "line_removed_in_salesforce": "was taken off the deal after invoicing",
    "line_added_in_quickbooks": "was added to the invoice in QuickBooks",
    "line_removed_in_quickbooks": "was taken off the invoice in QuickBooks",
    "line_only_on_invoice": "is on the invoice and not on the deal",
    "line_only_on_deal": "is on the deal and not on the invoice",
}


def explained(cases: pl.DataFrame, go_live: date | None, held: str) -> pl.DataFrame:
    """``cases`` with explanation.

    Args:
        cases: of :func:`.deciding.decided`, with the names customer, account and wrong_customer.
        go_live: see :class:`.inputs.ReconciliationInputs`, as is ``held``.
    """
    sentences = _sentences(go_live, held)
    # Each row is put into words once, by the words of its class.
    parts = [
        part.select("case", explanation=(sentences[str(code)] + _remarks()).str.strip_chars())
        for (code,), part in cases.partition_by("class", as_dict=True, maintain_order=True).items()
    ]
    if not parts:
        return cases.with_columns(explanation=pl.lit(None, pl.String))
    return cases.join(pl.concat(parts), on="case", how="left", maintain_order="left")


def amount_text(amount: str | pl.Expr, currency: str = "currency") -> pl.Expr:
    """``12,500.00 USD``, as :func:`money.format_amount` writes it; null for null."""
    value = pl.col(amount) if isinstance(amount, str) else amount
    text = value.cast(AMOUNT).cast(pl.String)
    whole, cents = text.str.head(-_CENTS), text.str.tail(_CENTS)
    # Groups of three from the right; a minus is no digit and ends up in front.
    grouped = whole.str.reverse().str.replace_all(r"(\d{3})", "${1},").str.replace(r",(-?)$", "${1}").str.reverse()
    return grouped + cents + " " + pl.col(currency)


def matched_text(number: str) -> pl.Expr:
    """The sentence of a case with one invoice that is matched, from value, currency and the invoice's number."""
    return pl.format(_MATCHED, pl.lit("Invoice ") + pl.col(number), pl.lit("bills"), amount_text("value"))


def _sentences(go_live: date | None, held: str) -> dict[str, pl.Expr]:
    """The sentence of each class."""
    value, billed, gap = amount_text("value"), amount_text("billed"), amount_text(pl.col("gap").abs())
    invoices, the_invoices, closed = _invoices("Invoice"), _invoices("invoice"), _day("deal_on")
    gone = pl.when(pl.col("last_total") != 0).then(_told(" over {}", amount_text("last_total")))
    live_since = "" if go_live is None else f" on {go_live:%d %b %Y}"
    return {
        c.VOIDED: _told("{}{} {} voided in QuickBooks. {}", invoices, gone, _verb("was", "were"), _after_it_went()),
        c.DELETED: _told("{}{} {} deleted in QuickBooks. {}", invoices, gone, _verb("was", "were"), _after_it_went()),
        c.DEAL_REOPENED: _told(
            "{} over {} {}, and the deal is {} (last changed on {}). Void or credit what was billed, or win the deal again.",
            *(invoices, _billed_anyhow(), _verb("stands", "stand"), _status(), _day("deal_modified_on")),
        ),
        c.INVOICE_WITHOUT_DEAL: _without_deal(),
        c.BEFORE_GO_LIVE: _told(
            "The deal over {} closed on {}, before qbsf went live{}. It is never billed by qbsf.",
            value,
            closed,
            pl.lit(live_since),
        ),
        c.NOT_INVOICED: _not_invoiced(held),
        c.CUSTOMER_MISMATCH: _told(
            "{} {} on the customer {}, and the deal's account {} is linked to other customers. Won {}, invoiced {}. "
            "Move the invoice, or link the customer to the account.",
            *(invoices, _verb("is", "are"), pl.coalesce("wrong_customer", "wrong_customer_id")),
            *(pl.coalesce("account", "account_id"), value, billed),
        ),
        c.AMENDED: _amended(),
        c.DUPLICATE_INVOICE: _told(
            "Invoices {} of one deal have the same amount. Won {}, invoiced {}: {} is billed too much. Void the wrong one.",
            *(_list("duplicate_numbers"), value, billed, gap),
        ),
        c.BILLED_AGAIN: _told(
            "A person had the deal billed again, and the earlier invoice still stands: {}. Won {}, invoiced {}. "
            "Void the earlier one if it is replaced.",
            *(the_invoices, value, billed),
        ),
        c.FOREIGN_EXCHANGE: _exchanged(),
        c.WRITTEN_OFF: _told(
            "{} of {} over {} was written off{}. The deal is {}.",
            *(amount_text(pl.max_horizontal("written_off", "credited_as_bad")), the_invoices, amount_text("invoiced")),
            *(pl.when(pl.col("cause") == "credit_memo").then(_told(" by {} of {}", _memos(), _day("last_memo_on"))), value),
        ),
        c.MATCHED: _told(_MATCHED, invoices, _verb("bills", "bill"), value),
        c.ROUNDING: _told("Won {}, invoiced {} with {}. {} is rounding of the lines.", value, billed, the_invoices, gap),
        c.CREDITED: _credited(),
        c.INVOICED_IN_ADVANCE: _told(
            "{} over {} {} dated from {}, and the deal closed on {}: invoiced in an earlier month than won.{}",
            *(invoices, billed, _verb("is", "are"), _day("first_on"), closed, _rest()),
        ),
        c.INVOICED_LATER: _told(
            "The deal closed on {}, and {} over {} {} dated {}, {} later: invoiced in a later month than won.{}",
            *(closed, the_invoices, billed, _verb("is", "are"), _day("last_on"), _days_later(), _rest()),
        ),
        c.TAX_INCLUDED: _told(
            "Won {}, invoiced {}. With sales tax of {} {} {} {}: the deal's amount includes the tax.",
            *(value, billed, amount_text("tax"), the_invoices, _verb("is", "are"), amount_text("gross")),
        ),
        c.DISCOUNT: _told(
            "Won {}, invoiced {}. A discount of {} was given on {}.", value, billed, amount_text("discount"), the_invoices
        ),
        c.FEES: _told(
            *("Won {}, invoiced {}. {} {} freight or fees of {}.", value, billed, invoices, _verb("has", "have")),
            amount_text("fees"),
        ),
        c.PARTLY_INVOICED: _told(
            "The deal is {}{}: {} of {} is billed so far, the last part on {}; {} is still to be billed.",
            *(pl.col("cause").replace(_PARTS), _periods(), billed, value, _day("last_on"), gap),
        ),
        c.LINE_CHANGED: _line_changed(),
        c.AMOUNT_CHANGED_IN_SALESFORCE: _told(
            "{} {} made over {}, and the deal is {} now (last changed on {}): {} is {}.",
            *(invoices, _verb("was", "were"), amount_text("billed_by_qbsf"), value, _day("deal_modified_on"), gap),
            pl.when(pl.col("gap") > 0).then(pl.lit("not billed")).otherwise(pl.lit("billed too much")),
        ),
        c.AMOUNT_CHANGED_IN_QUICKBOOKS: _told(
            "{} {} made over {} and {} {} now (last changed on {}). The deal is {}.",
            *(invoices, _verb("was", "were"), amount_text("billed_by_qbsf"), _verb("is", "are"), amount_text("invoiced")),
            *(_day("modified_on"), value),
        ),
        c.UNEXPLAINED: _unexplained(),
    }


# Sentences of classes with several causes


def _after_it_went() -> pl.Expr:
    won = _told("The deal over {} is won and has no invoice now. Bill it again, or correct the deal.", amount_text("value"))
    return (
        pl.when(pl.col("deal_status") == "won")
        .then(won)
        .when(pl.col("opportunity_id").is_null())
        .then(pl.lit("It was linked to no deal."))
        .otherwise(_told("The deal is {}.", _status()))
    )


def _without_deal() -> pl.Expr:
    found = _told(
        "The deal {}, closed on {}, has the same customer and amount and no invoice: if it is that one, link the two.",
        *(pl.col("likely_deal"), _day("likely_deal_on")),
    )
    hint = pl.when(pl.col("likely_deal").is_not_null()).then(found).otherwise(pl.lit("Link it to its deal, or accept it."))
    customer = pl.when(pl.col("customer").is_not_null()).then(_told(" to {}", pl.col("customer")))
    said = (
        pl.when(pl.col("cause") == "recurring")
        .then(pl.lit("was made by a recurring template of QuickBooks and is linked to no deal"))
        .when(pl.col("cause") == "deal_not_found")
        .then(_told("names the deal {}, which Salesforce does not show", pl.col("marked_deal")))
        .otherwise(pl.lit("is linked to no deal"))
    )
    return _told(
        "Invoice {}{} of {} over {} {}. {}",
        *(_list("numbers"), customer, _day("first_on"), amount_text("invoiced"), said, hint),
    )


def _not_invoiced(held: str) -> pl.Expr:
    cause = pl.col("cause")
    why = (
        pl.when(pl.col("refusals").is_not_null())
        .then(_told(": {} {}", pl.col("refusals"), pl.col("remedy")))
        .when(cause == "held")
        .then(_told(": the invoice is planned and waits. {}", pl.lit(held)))
        .when(cause == "planned")
        .then(pl.lit(" yet: the invoice is planned and goes out with the next pass."))
        .when(cause == "not_due")
        .then(pl.lit(" yet: the deal closed only just now."))
        .when(cause == "scheduled")
        .then(_told(" yet: it is billed period by period. {}", pl.col("detail")))
        .when(cause == "not_read_yet")
        .then(pl.lit(" as far as QuickBooks was read: qbsf has just made the invoice."))
        .otherwise(_told(". {}", pl.col("detail")))
    )
    return _told("{} won on {} is not invoiced{}", amount_text("value"), _day("deal_on"), why)


def _amended() -> pl.Expr:
    elsewhere = _told(
        "The deal over {} won on {} amends another one. {}", amount_text("value"), _day("deal_on"), pl.col("detail")
    )
    left = pl.when(pl.col("to_bill") > pl.col("rounding")).then(_told("; {} is still to be billed", amount_text("to_bill")))
    here = _told(
        "The deal is {}, and bills amendments of its contract over {} with it: {} is billed so far with {}{}.",
        *(amount_text("value"), amount_text("amended"), amount_text("billed"), _invoices("invoice"), left),
    )
    return pl.when(pl.col("live") == 0).then(elsewhere).otherwise(here)


def _exchanged() -> pl.Expr:
    rate = pl.col("rate").round(6, mode="half_away_from_zero").cast(pl.Decimal(38, 6)).cast(pl.String)
    return _told(
        "The deal is {}, and {} {} {}. At the rate of {} that is {}; the difference of {} is foreign exchange.",
        *(amount_text("value"), _invoices("invoice"), _verb("is", "are"), _foreign(), rate, amount_text("converted")),
        amount_text((pl.col("value") - pl.col("converted") + pl.col("credited")).abs()),
    )


def _credited() -> pl.Expr:
    alone = _told(
        "The {} over {} of {} is applied to no invoice, so it belongs to no deal. Apply it.",
        *(_memos(), amount_text("credited"), _day("last_memo_on")),
    )
    applied = _told(
        "The {} of {} took {} off {} over {}. Won {}, invoiced {} after that.",
        *(_memos(), _day("last_memo_on"), amount_text("credited"), _invoices("invoice"), amount_text("invoiced")),
        *(amount_text("value"), amount_text("billed")),
    )
    return pl.when(pl.col("numbers").is_null()).then(alone).otherwise(applied)


def _line_changed() -> pl.Expr:
    on_invoice = pl.col("only_invoice_lines") > 0
    amount = amount_text(pl.when(on_invoice).then("only_invoices").otherwise("only_deal"))
    name = pl.when(on_invoice).then("only_invoice_names").otherwise("only_deal_names").fill_null("A line")
    return _told(
        "Won {}, invoiced {}. {} over {} {}.",
        *(amount_text("value"), amount_text("billed"), name, amount, pl.col("cause").replace(_LINES)),
    )


def _unexplained() -> pl.Expr:
    cause, the_invoices = pl.col("cause"), _invoices("invoice")
    missing = _told("{} won on {} is not invoiced", amount_text("value"), _day("deal_on"))
    both = _told("Won {}, invoiced {} with {}", amount_text("value"), amount_text("billed"), the_invoices)
    foreign = _told("Won {}, invoiced {} with {}", amount_text("value"), _foreign(), the_invoices)
    gap = amount_text(pl.col("gap").abs())
    return (
        pl.when(cause == CONTESTED)
        .then(_told("{}: {} deals name the same invoice. Link it to the right one.", missing, pl.col("claims").cast(pl.String)))
        .when(cause == INVOICE_NOT_FOUND)
        .then(
            _told(
                "{}, and yet it was billed. {} No invoice in QuickBooks is linked to it: look for it.", missing, pl.col("detail")
            )
        )
        .when(pl.col("live") == 0)
        .then(_told("{}, and no reason is known. Run qbsf sync, and look at the deal if this stays.", missing))
        .when(cause == "several_currencies")
        .then(_told("Won {}, and {} are in several currencies. No rule explains that.", amount_text("value"), the_invoices))
        .when(cause == "rate_unknown")
        .then(_told("{}, and no rate between {} and {} is known.", foreign, pl.col("currency"), pl.col("other_currency")))
        .when(cause == "off_the_rate")
        .then(_told("{}, which is {} at the rate known: too far off for foreign exchange.", foreign, amount_text("converted")))
        .when(cause == "billed_less")
        .then(_told("{}. {} is not billed, and no rule explains it.", both, gap))
        .otherwise(_told("{}. {} is billed too much, and no rule explains it.", both, gap))
    )


def _remarks() -> pl.Expr:
    """What is odd beside the class itself; empty for nothing."""
    has_deal = pl.col("opportunity_id").is_not_null()
    given_up = (pl.col("written_off") > 0) & (pl.col("class") != c.WRITTEN_OFF)
    timing = [c.INVOICED_IN_ADVANCE, c.INVOICED_LATER]
    another_month = (
        has_deal
        & (pl.col("deal_status") == "won")
        & (pl.col("first_on").dt.month_start() != pl.col("deal_month"))
        & ~pl.col("class").is_in(timing)
    )
    return _told(
        "{}{}{}{}{}{}",
        pl.when(another_month).then(
            _told(" The deal closed on {}; invoicing began on {}, in another month.", _day("deal_on"), _day("first_on"))
        ),
        pl.when(given_up).then(_told(" {} was written off.", amount_text("written_off"))),
        pl.when("is_shared_credit").then(pl.lit(" A credit memo was applied to other invoices too and counts here as a whole.")),
        pl.when(has_deal & pl.col("closed_on").is_null()).then(
            _told(" The deal has no close date and counts on {}.", _day("deal_on"))
        ),
        pl.when(has_deal & ~pl.col("has_amount").fill_null(True)).then(
            pl.lit(" The deal has no amount that can be billed, and no products, and counts as 0.")
        ),
        pl.when("is_undated").then(_told(" An invoice has no date and counts on {}.", _day("first_on"))),
    )


# Words


def _told(template: str, *values: pl.Expr) -> pl.Expr:
    """A template with a value for each ``{}``; what is null is left out."""
    return pl.format(template, *(value.fill_null("") for value in values))


def _day(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%d %b %Y").fill_null("an unknown day")


def _list(name: str) -> pl.Expr:
    """A list of numbers; a long one is cut behind a whole number."""
    text = pl.col(name)
    cut = text.str.slice(0, _LONGEST_LIST).str.replace(r",[^,]*$", "") + " and others"
    return pl.when(text.str.len_chars() > _LONGEST_LIST).then(cut).otherwise(text)


def _several() -> pl.Expr:
    return pl.col("live") + pl.col("voided") + pl.col("deleted") > 1


def _invoices(word: str) -> pl.Expr:
    """``Invoice 1001`` or ``Invoices 1001, 1002``."""
    return pl.when(_several()).then(pl.lit(f"{word}s ")).otherwise(pl.lit(f"{word} ")) + _list("numbers")


def _memos() -> pl.Expr:
    several = pl.col("memo_numbers").str.contains(", ", literal=True)
    return pl.when(several).then(pl.lit("credit memos ")).otherwise(pl.lit("credit memo ")) + _list("memo_numbers")


def _verb(one: str, several: str) -> pl.Expr:
    return pl.when(_several()).then(pl.lit(several)).otherwise(pl.lit(one))


def _status() -> pl.Expr:
    return pl.col("deal_status").replace(_STATUSES)


def _foreign() -> pl.Expr:
    return amount_text("other_net", "other_currency")


def _billed_anyhow() -> pl.Expr:
    """What is billed, in the currency in which it is."""
    foreign = (pl.col("invoiced") == 0) & (pl.col("other_currency") != "several").fill_null(False)
    return pl.when(foreign).then(_foreign()).otherwise(amount_text("invoiced"))


def _rest() -> pl.Expr:
    return pl.when(pl.col("gap") != 0).then(_told(" {} of the difference is rounding.", amount_text(pl.col("gap").abs())))


def _periods() -> pl.Expr:
    count = pl.col("periods").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(pl.col("periods") > 0).then(_told(", {} periods", count))


def _days_later() -> pl.Expr:
    days = (pl.col("last_on") - pl.col("deal_on")).dt.total_days()
    return days.cast(pl.String) + pl.when(days == 1).then(pl.lit(" day")).otherwise(pl.lit(" days"))
