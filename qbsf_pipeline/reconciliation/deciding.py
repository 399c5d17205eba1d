"""Which class each case has: the rules of :mod:`.classes` in their order, with the cause, who acts and since when. Pure."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from qbsf_pipeline.reconciliation import classes as c
from qbsf_pipeline.reconciliation.inputs import ReconciliationInputs
from qbsf_pipeline.settings import ReconciliationRules
from qbsf_pipeline.warehouse.tables import AMOUNT

#: Refusals that finance mends in QuickBooks; the others are about the deal or its account.
FINANCES_REFUSALS = (
    *("customer_in_review", "customer_ignored", "payment_terms_unknown", "books_closed", "currency_not_in_quickbooks"),
    *("currency_differs_from_customer", "several_customers_in_currency", "product_without_item", "item_ambiguous"),
    *("item_inactive", "item_not_sellable", "income_account_unknown", "tax_code_missing", "class_unknown"),
    *("department_unknown", "duplicate_marker"),
)
#: What the invoice flow calls what became of a deal -> cause of a deal without an invoice.
_CAUSES = {"refused": "refused", "waiting": "customer_in_review", "in_progress": "in_progress", "dead": "failed"}
#: Causes of deals without an invoice that are no explanation: somebody has to look.
NO_REASON = "no_reason_known"
INVOICE_NOT_FOUND = "invoice_not_found"
CONTESTED = "contested"
_UNKNOWN = (NO_REASON, INVOICE_NOT_FOUND, CONTESTED)
#: What an amendment is called that another deal bills, or a credit memo.
_AMENDS = "amends"
#: Days around the close date in which an invoice of the same customer and amount may be the deal's.
_DAYS_BEFORE, _DAYS_AFTER = 30, 90
#: An invoice that was made as recently as this may not have been read back yet.
_READ_BACK_DAYS = 1


def decided(facts: pl.DataFrame, inputs: ReconciliationInputs, rules: ReconciliationRules, as_of: date) -> pl.DataFrame:
    """``facts`` with class, cause, acts, since, and what the sentences need: billed, gap (value less billed), rounding,
    outcome, detail, refusals, remedy, claimed (deals that claim the same invoice), likely_deal, likely_deal_on,
    class_before_credit (of a credited case in months without a credit memo; null where that is its own class), rate (units of
    the other currency for one of the deal's), converted (what is billed in it, in the deal's), amended (what amendments add to
    what the deal bills; 0 without any), to_bill (value with these less billed).

    Args:
        facts: of :func:`.facts.facts_of`.
        as_of: today.
    """
    known = _with_amounts(_with_amendments(facts, inputs), rules)
    known = _with_rates(known, inputs)
    known = _with_reasons(known, inputs, rules, as_of)
    known = known.with_columns(_class(inputs.go_live, rules))
    known = known.with_columns(_cause(rules))
    known = _with_likely_deals(known, inputs)
    return known.with_columns(_acts(rules, as_of), _since(), _class_before_credit())


def _with_amendments(facts: pl.DataFrame, inputs: ReconciliationInputs) -> pl.DataFrame:
    """With ``amended`` and ``is_amended``: whether amendments are billed with the deal, and what they come to."""
    latest = inputs.outcomes.unique("opportunity_id", keep="last", maintain_order=True)
    amended = (
        latest.filter((pl.col("outcome") == _AMENDS) & pl.col("billed_with").is_not_null())
        .group_by(pl.col("billed_with").alias("opportunity_id"))
        .agg(pl.col("difference").sum().cast(AMOUNT).alias("amended"), is_amended=pl.lit(True))
    )
    return facts.join(amended, on="opportunity_id", how="left", maintain_order="left").with_columns(
        pl.col("amended").fill_null(0).cast(AMOUNT), pl.col("is_amended").fill_null(False)
    )


def _with_amounts(facts: pl.DataFrame, rules: ReconciliationRules) -> pl.DataFrame:
    def share(name: str, of: object) -> pl.Expr:
        return (pl.col(name).cast(pl.Decimal(38, 2)) * pl.lit(of, dtype=pl.Decimal(8, 6))).cast(pl.Decimal(38, 4))

    exact = pl.Decimal(38, 4)
    return facts.with_columns(
        billed=(pl.col("invoiced") - pl.col("credited")).cast(AMOUNT),
        rounding=pl.max_horizontal(
            pl.lit(rules.rounding_least).cast(exact), (pl.col("lines") * pl.lit(rules.rounding_per_line)).cast(exact)
        ),
        tolerance=pl.max_horizontal(pl.lit(rules.tolerance_least).cast(exact), share("value", rules.tolerance_share).abs()),
    ).with_columns(
        gap=(pl.col("value") - pl.col("billed")).cast(AMOUNT),
        to_bill=(pl.col("value") + pl.col("amended") - pl.col("billed")).cast(AMOUNT),
        before_credit=(pl.col("value") - pl.col("invoiced")).cast(AMOUNT),
        # Documents that stand, credit memos too, and the deal itself: all of one month?
        first_month=pl.min_horizontal("first_on", "first_memo_on").dt.month_start(),
        last_month=pl.max_horizontal("last_on", "last_memo_on").dt.month_start(),
        deal_month=pl.col("deal_on").dt.month_start(),
    )


def _with_rates(facts: pl.DataFrame, inputs: ReconciliationInputs) -> pl.DataFrame:
    """With ``rate`` and ``converted``. QuickBooks' own rate of the invoice counts where one side is the home currency."""
    wanted = facts.filter(pl.col("other_currency").is_not_null() & (pl.col("other_currency") != "several"))
    if wanted.is_empty():
        empty = {"rate": pl.lit(None, dtype=pl.Decimal(38, 10)), "converted": pl.lit(None, dtype=AMOUNT)}
        return facts.with_columns(**empty)
    table = inputs.exchange_rates.filter(pl.col("rate") > 0).unique("currency", keep="last", maintain_order=True)
    exact = pl.Decimal(38, 10)
    by_org = (pl.col("rate_of_other").cast(exact) / pl.col("rate_of_deal").cast(exact)).cast(exact, strict=False)
    by_invoice = (
        pl.when((pl.col("currency") == inputs.home_currency) & (pl.col("other_rate") > 0))
        # Home currency for one of the invoice's.
        .then((pl.lit(1, dtype=exact) / pl.col("other_rate").cast(exact)).cast(exact, strict=False))
    )
    rates = (
        wanted.select("case", "currency", "other_currency", "other_net", "other_credited", "other_rate")
        .join(table.rename({"rate": "rate_of_deal"}), on="currency", how="left")
        .join(table.rename({"currency": "other_currency", "rate": "rate_of_other"}), on="other_currency", how="left")
        .with_columns(rate=pl.coalesce(by_invoice, by_org))
        .with_columns(rate=pl.when(pl.col("rate") > 0).then("rate"))
        .select(
            "case",
            "rate",
            converted=((pl.col("other_net") - pl.col("other_credited")).cast(pl.Decimal(38, 2)) / pl.col("rate"))
            .round(2, mode="half_away_from_zero")
            .cast(AMOUNT, strict=False),
        )
    )
    return facts.join(rates, on="case", how="left", maintain_order="left")


def _with_reasons(facts: pl.DataFrame, inputs: ReconciliationInputs, rules: ReconciliationRules, as_of: date) -> pl.DataFrame:
    """With ``why``, the cause of a won deal without an invoice that stands; null for all others."""
    missing = facts.filter((pl.col("deal_status") == "won") & (pl.col("live") == 0)).select("case", "opportunity_id", "deal_on")
    ids = missing.lazy().select("opportunity_id")
    outcomes = (
        inputs.outcomes.lazy()
        .join(ids, on="opportunity_id", how="semi")
        .unique("opportunity_id", keep="last", maintain_order=True)
    )
    refusals = (
        inputs.refusals.lazy()
        .join(ids, on="opportunity_id", how="semi")
        .sort("opportunity_id", "position", nulls_last=True)
        .group_by("opportunity_id", maintain_order=True)
        .agg(
            pl.col("code").drop_nulls().unique(maintain_order=True).str.join(", ").alias("codes"),
            pl.col("code").is_in(list(FINANCES_REFUSALS)).all().alias("for_finance"),
            pl.col("reason").drop_nulls().unique(maintain_order=True).str.join(" ").alias("refusals"),
            pl.col("remedy").drop_nulls().unique(maintain_order=True).str.join(" ").alias("remedy"),
        )
    )
    fresh = (
        inputs.billings.lazy()
        .filter((pl.col("status") == "done") & (pl.col("done_on") >= as_of - timedelta(days=_READ_BACK_DAYS)))
        .join(ids, on="opportunity_id", how="semi")
        .select("opportunity_id", is_fresh=pl.lit(True))
        .unique()
    )
    claims = inputs.contested.lazy().unique()
    rivals = claims.group_by("invoice_id").agg(pl.col("opportunity_id").n_unique().cast(pl.Int64).alias("claims"))
    claimed = claims.join(rivals, on="invoice_id").group_by("opportunity_id").agg(pl.col("claims").max())
    outcome = pl.col("outcome")
    why = (
        pl.when(pl.col("is_fresh").fill_null(False))
        .then(pl.lit("not_read_yet"))
        .when(pl.col("claims").is_not_null())
        .then(pl.lit(CONTESTED))
        .when(outcome == _AMENDS)
        .then(pl.lit(_AMENDS))
        .when(outcome == "invoiced")
        .then(pl.lit(INVOICE_NOT_FOUND))
        .when((outcome == "refused") & pl.col("codes").is_not_null())
        .then("codes")
        .when(outcome == "planned")
        .then(pl.lit("held" if inputs.held else "planned"))
        .when(outcome == "scheduled")
        .then(pl.lit("scheduled"))
        .when(outcome.is_in(list(_CAUSES)))
        .then(outcome.replace(_CAUSES))
        .when(pl.col("deal_on") + pl.duration(days=rules.grace_days) >= as_of)
        .then(pl.lit("not_due"))
        .otherwise(pl.lit(NO_REASON))
    )
    known = (
        missing.lazy()
        .join(outcomes, on="opportunity_id", how="left", maintain_order="left")
        .join(refusals, on="opportunity_id", how="left", maintain_order="left")
        .join(fresh, on="opportunity_id", how="left", maintain_order="left")
        .join(claimed, on="opportunity_id", how="left", maintain_order="left")
        .select("case", "outcome", "detail", "refusals", "remedy", "for_finance", "claims", why=why)
        .collect()
    )
    return facts.join(known, on="case", how="left", maintain_order="left").with_columns(pl.col("for_finance").fill_null(False))


def _class(go_live: date | None, rules: ReconciliationRules) -> pl.Expr:
    won = pl.col("deal_status") == "won"
    has_deal = pl.col("opportunity_id").is_not_null()
    stands = pl.col("live") > 0
    credited = pl.col("credited") != 0
    gap, before_credit = pl.col("gap").abs(), pl.col("before_credit").abs()
    rounding, tolerance = pl.col("rounding"), pl.col("tolerance")
    fits = gap <= rounding
    within_amended = (pl.col("to_bill").abs() <= rounding) | ((pl.col("billed") > 0) & (pl.col("to_bill") > rounding))
    one_month = ((pl.col("first_month") == pl.col("deal_month")) & (pl.col("last_month") == pl.col("deal_month"))).fill_null(
        False
    )
    before_go_live = (pl.col("closed_on") < go_live).fill_null(False) if go_live is not None else pl.lit(False)
    too_much = -pl.col("gap") > rounding
    in_parts = (
        (pl.col("recurs") | pl.col("scheduled") | (pl.col("live") > 1) | pl.col("has_deposit"))
        | (pl.col("billed_by_qbsf").is_null() & (pl.col("only_invoice_lines") == 0) & (pl.col("common_lines") > 0))
    ).fill_null(False)
    bad, given_up = pl.col("credited_as_bad"), (pl.col("written_off") > 0) | (pl.col("credited_as_bad") != 0)
    without_bad = (pl.col("gap") - bad).abs() <= rounding
    near_rate = (
        (pl.col("converted") - pl.col("credited") - pl.col("value")).abs().cast(pl.Decimal(38, 6))
        <= (pl.col("value").abs().cast(pl.Decimal(38, 2)) * pl.lit(rules.exchange_tolerance, dtype=pl.Decimal(8, 6))).cast(
            pl.Decimal(38, 6)
        )
    ).fill_null(False)
    other = pl.col("other_currency").is_not_null()
    only_one_side = (pl.col("only_deal_lines") == 0) != (pl.col("only_invoice_lines") == 0)
    whole_lines = (
        only_one_side
        & (pl.col("common_lines") > 0)
        & ((pl.col("only_deal") - pl.col("only_invoices") - pl.col("before_credit")).abs() <= rounding)
    )
    billed_before = pl.col("billed_by_qbsf")
    as_billed = ((billed_before - pl.col("invoiced")).abs() <= rounding).fill_null(False)
    rules_in_order: dict[str, pl.Expr] = {
        c.VOIDED: ~stands & (pl.col("voided") > 0),
        c.DELETED: ~stands & (pl.col("deleted") > 0),
        c.DEAL_REOPENED: has_deal & ~won,
        c.INVOICE_WITHOUT_DEAL: ~has_deal & stands,
        c.BEFORE_GO_LIVE: won & ~stands & (before_go_live | (pl.col("outcome") == "before_go_live").fill_null(False)),
        c.NOT_INVOICED: won & ~stands & ~pl.col("why").is_in([*_UNKNOWN, _AMENDS]).fill_null(False),
        c.CUSTOMER_MISMATCH: has_deal & pl.col("wrong_customer_id").is_not_null(),
        c.AMENDED: (won & ~stands & (pl.col("why") == _AMENDS))
        | (stands & ~other & pl.col("is_amended") & ~fits & within_amended),
        c.DUPLICATE_INVOICE: has_deal & ~other & pl.col("is_duplicate") & (-pl.col("gap") > tolerance),
        c.BILLED_AGAIN: has_deal & (pl.col("generation").fill_null(1) > 1) & (pl.col("live") > 1) & too_much,
        c.FOREIGN_EXCHANGE: has_deal & other & near_rate,
        c.WRITTEN_OFF: has_deal & stands & ~other & given_up & without_bad & (one_month | (bad != 0)),
        c.MATCHED: has_deal & stands & ~other & (gap == 0) & one_month,
        c.ROUNDING: has_deal & stands & ~other & fits & one_month,
        c.CREDITED: (~has_deal & credited) | (stands & ~other & credited & ((before_credit <= tolerance) | fits)),
        c.INVOICED_IN_ADVANCE: stands & ~other & fits & (pl.col("first_month") < pl.col("deal_month")),
        c.INVOICED_LATER: stands & ~other & fits & (pl.col("last_month") > pl.col("deal_month")),
        c.TAX_INCLUDED: stands
        & ~other
        & (pl.col("tax") > 0)
        & ((pl.col("gross") - pl.col("credited") - pl.col("value")).abs() <= rounding),
        c.DISCOUNT: stands
        & ~other
        & (pl.col("discount") > 0)
        & ((pl.col("discount") - pl.col("before_credit")).abs() <= rounding),
        c.FEES: stands & ~other & (pl.col("fees") != 0) & ((pl.col("fees") + pl.col("before_credit")).abs() <= rounding),
        c.PARTLY_INVOICED: stands & ~other & (pl.col("billed") > 0) & (pl.col("gap") > rounding) & in_parts,
        c.LINE_CHANGED: stands & ~other & whole_lines,
        c.AMOUNT_CHANGED_IN_SALESFORCE: stands & ~other & billed_before.is_not_null() & as_billed,
        c.AMOUNT_CHANGED_IN_QUICKBOOKS: stands & ~other & billed_before.is_not_null(),
    }
    assert list(rules_in_order) == [each.code for each in c.CLASSES][:-1]
    (first, condition), *others = rules_in_order.items()
    chain: pl.Expr = pl.lit(c.UNEXPLAINED)
    for code, each in reversed([(first, condition), *others]):
        chain = pl.when(each.fill_null(False)).then(pl.lit(code)).otherwise(chain)
    return chain.alias("class")


def _cause(rules: ReconciliationRules) -> pl.Expr:
    in_class = pl.col("class")
    late = pl.col("last_on") > pl.col("deal_on") + pl.duration(days=rules.late_after_days)
    billed_before, invoiced, value = pl.col("billed_by_qbsf"), pl.col("invoiced"), pl.col("value")
    rounding = pl.col("rounding")
    cause = (
        pl.when(in_class == c.NOT_INVOICED)
        .then("why")
        .when((in_class == c.AMENDED) & (pl.col("live") == 0))
        .then(pl.lit("billed_with_another"))
        .when(in_class == c.AMENDED)
        .then(pl.lit("bills_amendments"))
        .when(in_class == c.DEAL_REOPENED)
        .then("deal_status")
        .when(in_class == c.INVOICE_WITHOUT_DEAL)
        .then(
            pl.when("scheduled")
            .then(pl.lit("recurring"))
            .when(pl.col("marked_deal").is_not_null())
            .then(pl.lit("deal_not_found"))
            .otherwise(pl.lit("made_by_hand"))
        )
        .when((in_class == c.CREDITED) & pl.col("opportunity_id").is_null())
        .then(pl.lit("applied_to_nothing"))
        .when((in_class == c.WRITTEN_OFF) & (pl.col("credited_as_bad") != 0))
        .then(pl.lit("credit_memo"))
        .when((in_class == c.INVOICED_LATER) & late)
        .then(pl.lit("late"))
        .when(in_class == c.INVOICED_LATER)
        .then(pl.lit("month_end"))
        .when(in_class == c.PARTLY_INVOICED)
        .then(
            pl.when(pl.col("recurs") | pl.col("scheduled"))
            .then(pl.lit("recurring"))
            .when("has_deposit")
            .then(pl.lit("deposit"))
            .when(pl.col("live") > 1)
            .then(pl.lit("several_invoices"))
            .otherwise(pl.lit("some_products"))
        )
        .when(in_class == c.LINE_CHANGED)
        .then(_line_cause())
        .when((in_class == c.AMOUNT_CHANGED_IN_QUICKBOOKS) & ((billed_before - value).abs() > rounding))
        .then(pl.lit("both_changed"))
        .when((in_class == c.UNEXPLAINED) & pl.col("why").is_not_null())
        .then("why")
        .when((in_class == c.UNEXPLAINED) & (pl.col("other_currency") == "several"))
        .then(pl.lit("several_currencies"))
        .when((in_class == c.UNEXPLAINED) & pl.col("other_currency").is_not_null() & pl.col("converted").is_null())
        .then(pl.lit("rate_unknown"))
        .when((in_class == c.UNEXPLAINED) & pl.col("other_currency").is_not_null())
        .then(pl.lit("off_the_rate"))
        .when((in_class == c.UNEXPLAINED) & (value > pl.col("billed")))
        .then(pl.lit("billed_less"))
        .when((in_class == c.UNEXPLAINED) & (invoiced != 0))
        .then(pl.lit("billed_more"))
    )
    return cause.alias("cause")


def _class_before_credit() -> pl.Expr:
    """A credit memo explains its own month. Where the deal was won in one month and invoiced in another, that is timing."""
    is_whole = pl.col("opportunity_id").is_not_null() & (pl.col("before_credit").abs() <= pl.col("tolerance"))
    timing = (
        pl.when(pl.col("first_on").dt.month_start() < pl.col("deal_month"))
        .then(pl.lit(c.INVOICED_IN_ADVANCE))
        .when(pl.col("last_on").dt.month_start() > pl.col("deal_month"))
        .then(pl.lit(c.INVOICED_LATER))
    )
    return pl.when((pl.col("class") == c.CREDITED) & is_whole).then(timing).alias("class_before_credit")


def _line_cause() -> pl.Expr:
    """``line_added_in_quickbooks`` and the like; without a side where it is not known what was billed at first."""
    on_invoice = pl.col("only_invoice_lines") > 0
    unchanged = (pl.col("billed_by_qbsf") - pl.col("invoiced")).abs() <= pl.col("rounding")
    known = pl.col("billed_by_qbsf").is_not_null()
    return (
        pl.when(known & unchanged & on_invoice)
        .then(pl.lit("line_removed_in_salesforce"))
        .when(known & unchanged)
        .then(pl.lit("line_added_in_salesforce"))
        .when(known & on_invoice)
        .then(pl.lit("line_added_in_quickbooks"))
        .when(known)
        .then(pl.lit("line_removed_in_quickbooks"))
        .when(on_invoice)
        .then(pl.lit("line_only_on_invoice"))
        .otherwise(pl.lit("line_only_on_deal"))
    )


def _with_likely_deals(facts: pl.DataFrame, inputs: ReconciliationInputs) -> pl.DataFrame:
    """With ``likely_deal`` for an invoice without a deal: the one deal without an invoice of the same customer, currency and
    amount, closed around its date, where it is the only invoice like that. A hint in a sentence, never a link."""
    lonely = facts.filter((pl.col("class") == c.INVOICE_WITHOUT_DEAL) & (pl.col("invoiced") != 0)).select(
        "case", "customer_id", "currency", "first_on", amount=pl.col("invoiced")
    )
    waiting = facts.filter((pl.col("deal_status") == "won") & (pl.col("live") == 0) & (pl.col("value") != 0)).select(
        "account_id", "currency", "deal_on", pl.col("deal").alias("likely_deal"), "opportunity_id", amount=pl.col("value")
    )
    if lonely.is_empty() or waiting.is_empty():
        return facts.with_columns(pl.lit(None, pl.String).alias("likely_deal"), pl.lit(None, pl.Date).alias("likely_deal_on"))
    days = pl.col("first_on") - pl.col("deal_on")
    pairs = (
        lonely.lazy()
        .join(inputs.account_customers.lazy().drop_nulls().unique(), on="customer_id", how="inner")
        .join(waiting.lazy(), on=["account_id", "currency", "amount"], how="inner")
        .filter((days >= timedelta(days=-_DAYS_BEFORE)) & (days <= timedelta(days=_DAYS_AFTER)))
        .unique(["case", "opportunity_id"], keep="first", maintain_order=True)
        .filter((pl.len().over("case") == 1) & (pl.len().over("opportunity_id") == 1))
        .select("case", "likely_deal", likely_deal_on="deal_on")
        .collect()
    )
    return facts.join(pairs, on="case", how="left", maintain_order="left")


def _acts(rules: ReconciliationRules, as_of: date) -> pl.Expr:
    in_class, cause = pl.col("class"), pl.col("cause")
    usual = in_class.replace_strict({each.code: each.acts for each in c.CLASSES}, return_dtype=pl.String)
    overdue = pl.col("last_on") + pl.duration(days=rules.partly_invoiced_days) < as_of
    nobody, finance, sales = (pl.lit(who) for who in (c.NOBODY, c.FINANCE, c.SALES))
    return (
        pl.when((in_class == c.NOT_INVOICED) & cause.is_in(["in_progress", "planned", "not_due", "not_read_yet"]))
        .then(nobody)
        .when((in_class == c.NOT_INVOICED) & pl.col("refusals").is_not_null() & ~pl.col("for_finance"))
        .then(sales)
        .when(in_class.is_in([c.VOIDED, c.DELETED]) & pl.col("deal_status").ne_missing("won"))
        .then(nobody)
        .when((in_class == c.DEAL_REOPENED) & (pl.col("billed") == 0) & pl.col("other_currency").is_null())
        .then(nobody)
        .when((in_class == c.PARTLY_INVOICED) & (overdue | pl.col("refusals").is_not_null()))
        .then(finance)
        .when((in_class == c.CREDITED) & (cause == "applied_to_nothing"))
        .then(finance)
        .when((in_class == c.LINE_CHANGED) & cause.str.ends_with("salesforce"))
        .then(sales)
        .otherwise(usual)
        .alias("acts")
    )


def _since() -> pl.Expr:
    """The date of the document that made the difference, as far as it is known."""
    in_class, cause = pl.col("class"), pl.col("cause")
    deal, first, last, memo = (pl.col(name) for name in ("deal_on", "first_on", "last_on", "last_memo_on"))
    in_salesforce = (in_class == c.AMOUNT_CHANGED_IN_SALESFORCE) | cause.str.ends_with("_in_salesforce").fill_null(False)
    in_quickbooks = (in_class == c.AMOUNT_CHANGED_IN_QUICKBOOKS) | cause.str.ends_with("_in_quickbooks").fill_null(False)
    return (
        pl.when(in_class == c.MATCHED)
        .then(pl.lit(None, pl.Date))
        .when(in_class.is_in([c.VOIDED, c.DELETED]))
        .then(pl.coalesce("gone_on", "modified_on", deal, "dated_on"))
        .when(in_class == c.DEAL_REOPENED)
        .then(pl.coalesce("deal_modified_on", first, memo, deal))
        .when(in_salesforce)
        .then(pl.coalesce("deal_modified_on", deal))
        .when(in_quickbooks)
        .then(pl.coalesce("modified_on", last))
        .when(in_class.is_in([c.CREDITED, c.WRITTEN_OFF]))
        .then(pl.coalesce(memo, last))
        .when(in_class.is_in([c.DUPLICATE_INVOICE, c.BILLED_AGAIN]))
        .then(last)
        .when(in_class.is_in([c.INVOICED_LATER, c.BEFORE_GO_LIVE, c.NOT_INVOICED]))
        .then(deal)
        .otherwise(pl.coalesce(first, memo, deal))
        .alias("since")
    )
