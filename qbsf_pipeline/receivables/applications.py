"""What was applied to what: the lines of payments, taken apart into who gave how much to which document.

A payment brings its own money and credits together (credit memos, journal entries, deposits) and gives them to invoices and
to other debts (a journal entry that debits, a refund that was paid out). Its lines say how much each gives and gets, not
which credit went to which invoice. A credit goes to the invoice of the same amount; what is left is handed out in the order
of the ids, credits before money, so that the answer never depends on the order of lines or of reading.

A line of TxnType JournalEntry may be either: a credit that is used up (a write-off) or a debit that is paid (a payment that
bounced). The payment's own arithmetic tells which, and where it does not, the entry's lines.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.receivables.inputs import ReceivableInputs
from qbsf_pipeline.receivables.tables import APPLICATIONS
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import AMOUNT

#: QuickBooks' TxnType of what a payment uses up, in lower case -> our name of it. JournalEntry may be on either side.
_CREDITS = {"creditmemo": "credit_memo", "deposit": "deposit"}
_BAD_DEBTS = "baddebts"
_RECEIVABLE = "accounts receivable"
#: Accounts that hold money: a journal entry that debits one of them is a payment that was booked by hand.
_MONEY = ("bank", "other current asset")


def payment_parts(inputs: ReceivableInputs) -> pl.DataFrame:
    """What the lines of live payments mean.

    Returns:
        payment_id, gives (a credit that is used; else something that is settled), kind (invoice, credit_memo, deposit,
        journal_entry or other), txn_id, amount (above 0); a row is one document of one payment.
    """
    payments = live(inputs.payment).select(pl.col("id").alias("payment_id"), "customer_id", "total", "unapplied")
    txn_type = pl.col("txn_type").fill_null("").str.to_lowercase()
    kinds = {**_CREDITS, "invoice": "invoice", "journalentry": "journal_entry"}
    lines = (
        inputs.lines.payment_lines.filter((pl.col("source_type") == "payment") & pl.col("amount").is_not_null())
        .rename({"source_id": "payment_id"})
        .join(payments, on="payment_id", how="inner")
        .with_columns(kind=txn_type.replace_strict(kinds, default="other", return_dtype=pl.String))
    )
    is_credit = pl.col("kind").is_in([*_CREDITS.values()])
    # A credit is a credit, however its sign is written.
    lines = lines.with_columns(
        amount=pl.when(is_credit | (pl.col("kind") == "journal_entry")).then(pl.col("amount").abs()).otherwise("amount")
    ).filter(pl.col("amount") > 0)
    entries = lines.filter(pl.col("kind") == "journal_entry")
    gives = _entries_that_give(lines, entries, journal_receivables(inputs))
    return (
        lines.join(gives, on=["payment_id", "txn_id"], how="left")
        .with_columns(gives=pl.when(pl.col("kind") == "journal_entry").then(pl.col("entry_gives")).otherwise(is_credit))
        .group_by("payment_id", "gives", "kind", "txn_id")
        .agg(pl.col("amount").sum().cast(AMOUNT))
    )


def journal_receivables(inputs: ReceivableInputs) -> pl.DataFrame:
    """What journal entries took off what customers owe (below 0: what they added to it): journal_entry_id, customer_id,
    credit, txn_date, currency; a row is one entry and customer."""
    signed = pl.when(pl.col("posting").str.to_lowercase() == "credit").then("amount").otherwise(-pl.col("amount"))
    entries = live(inputs.journal_entry).select(pl.col("id").alias("journal_entry_id"), "txn_date", "currency")
    return (
        inputs.lines.journal_lines.join(receivable_accounts(inputs), on="account_id", how="semi")
        .filter(pl.col("customer_id").is_not_null() & pl.col("amount").is_not_null())
        .group_by("journal_entry_id", "customer_id")
        .agg(signed.sum().cast(AMOUNT).alias("credit"))
        .join(entries, on="journal_entry_id", how="inner")
    )


def deposit_receivables(inputs: ReceivableInputs) -> pl.DataFrame:
    """What deposits took off what customers owe, without a payment: deposit_id, customer_id, credit, txn_date, currency."""
    deposits = live(inputs.deposit).select(pl.col("id").alias("deposit_id"), "txn_date", "currency")
    return (
        inputs.lines.deposit_lines.join(receivable_accounts(inputs), on="account_id", how="semi")
        .filter(pl.col("customer_id").is_not_null() & pl.col("amount").is_not_null())
        .group_by("deposit_id", "customer_id")
        .agg(pl.col("amount").sum().cast(AMOUNT).alias("credit"))
        .join(deposits, on="deposit_id", how="inner")
    )


def pieces_of(inputs: ReceivableInputs) -> pl.DataFrame:
    """Who gave how much to which document.

    Returns:
        payment_id, source_type (payment, credit_memo, deposit or journal_entry), source_id, target_type (invoice,
        journal_entry or other), target_id, amount (above 0). A row is one source and target of one payment; the
        payment's own money is the source ``payment``.
    """
    parts = payment_parts(inputs)
    order = [pl.col("payment_id"), pl.col("is_money"), pl.col("kind"), pl.col("txn_id").str.len_chars(), pl.col("txn_id")]
    takes = parts.filter(~pl.col("gives")).with_columns(is_money=pl.lit(False)).drop("gives")
    credits = parts.filter("gives").with_columns(is_money=pl.lit(False)).drop("gives")
    same = ["payment_id", "amount", "rank"]
    rank = pl.int_range(pl.len()).over("payment_id", "amount").alias("rank")
    credits, takes = credits.sort(order).with_columns(rank), takes.sort(order).with_columns(rank)
    equal = credits.join(takes, on=same, how="inner", suffix="_taken")
    left = pl.concat(
        [
            credits.join(equal, on=same, how="anti").drop("rank"),
            _money(inputs, parts).select("payment_id", "kind", "txn_id", "amount", "is_money"),
        ]
    )
    handed_out = (
        _stretched(left.sort(order))
        .join(_stretched(takes.join(equal, on=same, how="anti").drop("rank").sort(order)), on="payment_id", suffix="_taken")
        .with_columns(amount=pl.min_horizontal("end", "end_taken") - pl.max_horizontal("start", "start_taken"))
        .filter(pl.col("amount") > 0)
    )
    columns = ["payment_id", "kind", "txn_id", "kind_taken", "txn_id_taken", "amount"]
    return (
        pl.concat([equal.select(columns), handed_out.select(columns).with_columns(pl.col("amount").cast(AMOUNT))])
        .rename({"kind": "source_type", "txn_id": "source_id", "kind_taken": "target_type", "txn_id_taken": "target_id"})
        .group_by("payment_id", "source_type", "source_id", "target_type", "target_id")
        .agg(pl.col("amount").sum().cast(AMOUNT))
    )


def dated(pieces: pl.DataFrame, inputs: ReceivableInputs) -> pl.DataFrame:
    """``pieces`` with applied_on: the newest date of the payment and of both documents (QuickBooks keeps no date of applying)."""
    dates = pl.concat(
        [
            live(frame).select(pl.lit(kind).alias("kind"), "id", "txn_date")
            for kind, frame in (
                ("invoice", inputs.invoice),
                ("payment", inputs.payment),
                ("credit_memo", inputs.credit_memo),
                ("deposit", inputs.deposit),
                ("journal_entry", inputs.journal_entry),
            )
        ]
    )
    ends = (
        pieces.join(
            dates.rename({"kind": "source_type", "id": "source_id", "txn_date": "source_date"}),
            on=["source_type", "source_id"],
            how="left",
        )
        .join(
            dates.rename({"kind": "target_type", "id": "target_id", "txn_date": "target_date"}),
            on=["target_type", "target_id"],
            how="left",
        )
        .join(
            live(inputs.payment).select(pl.col("id").alias("payment_id"), pl.col("txn_date").alias("through_date")),
            on="payment_id",
            how="left",
        )
    )
    return ends.with_columns(applied_on=pl.max_horizontal("source_date", "target_date", "through_date")).drop(
        "target_date", "through_date"
    )


def applications_of(pieces: pl.DataFrame, inputs: ReceivableInputs, rules: Rules) -> pl.DataFrame:
    """Everything that was applied to invoices, of any date: :data:`.tables.APPLICATIONS`.

    Args:
        pieces: :func:`dated`.
    """
    through = pieces.filter(pl.col("target_type") == "invoice").select(
        pl.col("target_id").alias("invoice_id"),
        "source_type",
        "source_id",
        # A payment's own money is applied directly.
        through_id=pl.when(pl.col("source_type") != "payment").then("payment_id"),
        method_of=pl.col("payment_id"),
        source_date="source_date",
        applied_on="applied_on",
        amount="amount",
    )
    invoices = live(inputs.invoice).select(
        pl.col("id").alias("invoice_id"), "customer_id", "currency", "txn_date", "deposit", "status"
    )
    everything = pl.concat([through, _direct(inputs, invoices)], how="diagonal")
    paying = live(inputs.payment).select(pl.col("id").alias("paying_id"), "method_id", "customer_id", "currency")
    methods = inputs.payment_method.select(pl.col("id").alias("method_id"), pl.col("name").alias("method")).unique("method_id")
    names = ["source_type", "source_id", "through_id", "invoice_id"]
    return (
        everything.join(invoices.select("invoice_id", "customer_id", "currency"), on="invoice_id", how="left")
        .join(paying, left_on="method_of", right_on="paying_id", how="left", suffix="_of_payment")
        .join(methods, on="method_id", how="left")
        .join(_sources(inputs, rules), on=["source_type", "source_id"], how="left")
        .with_columns(
            pl.coalesce("customer_id", "customer_id_of_payment").alias("customer_id"),
            pl.coalesce(_filled("currency"), _filled("currency_of_payment"), pl.lit(inputs.home_currency)).alias("currency"),
            # Credits have no method of payment, even where the payment that applies them names one.
            method=pl.when(pl.col("source_type") == "payment").then("method"),
            effect=pl.coalesce(
                "effect",
                pl.when(pl.col("source_type").is_in(["payment", "deposit"])).then(pl.lit("paid")).otherwise(pl.lit("credited")),
            ),
            application_id=pl.concat_str(*names, separator=":", ignore_nulls=True),
        )
        .with_columns(is_write_off=pl.col("effect") == "written_off")
        .sort("invoice_id", "applied_on", "application_id", nulls_last=True)
        .select(*APPLICATIONS.polars_schema)
        .cast(APPLICATIONS.polars_schema)
    )


def live(records: pl.DataFrame) -> pl.DataFrame:
    """The records that are not deleted, each id once."""
    return records.filter(~pl.col("is_deleted").fill_null(False)).unique("id", keep="last", maintain_order=True)


def _entries_that_give(lines: pl.DataFrame, entries: pl.DataFrame, receivables: pl.DataFrame) -> pl.DataFrame:
    """Which journal entries a payment uses up: payment_id, txn_id, entry_gives (False: they are paid by it)."""

    def summed(*kinds: str) -> pl.Expr:
        return pl.col("amount").filter(pl.col("kind").is_in(list(kinds))).sum()

    sums = (
        lines.join(entries, on="payment_id", how="semi")
        .group_by("payment_id")
        .agg(
            taken=summed("invoice", "other"),
            given=summed(*_CREDITS.values()),
            entries=summed("journal_entry"),
            unapplied=pl.col("unapplied").first(),
            total=pl.col("total").first(),
        )
        .with_columns(rest=pl.col("unapplied") - pl.col("total") + pl.col("taken") - pl.col("given"))
    )
    of_customer = receivables.select(pl.col("journal_entry_id").alias("txn_id"), "customer_id", pl.col("credit").alias("own"))
    of_all = receivables.group_by(pl.col("journal_entry_id").alias("txn_id")).agg(pl.col("credit").sum().alias("all"))
    own, every = (pl.when(pl.col(name) != 0).then(pl.col(name) > 0) for name in ("own", "all"))
    return (
        entries.select("payment_id", "txn_id", "customer_id")
        .unique(["payment_id", "txn_id"])
        .join(sums.select("payment_id", "entries", "rest"), on="payment_id", how="left")
        .join(of_customer, on=["txn_id", "customer_id"], how="left")
        .join(of_all, on="txn_id", how="left")
        .select(
            "payment_id",
            "txn_id",
            entry_gives=pl.when(pl.col("rest") == pl.col("entries"))
            .then(True)
            .when(pl.col("rest") == -pl.col("entries"))
            .then(False)
            .otherwise(pl.coalesce(own, every, pl.lit(True))),
        )
    )


def _money(inputs: ReceivableInputs, parts: pl.DataFrame) -> pl.DataFrame:
    """What each payment gives of its own money: what it settles beyond the credits that it uses, and never more than it is."""
    signed = pl.when("gives").then(-pl.col("amount")).otherwise("amount")
    needed = parts.group_by("payment_id").agg(signed.sum().alias("needed"))
    return (
        live(inputs.payment)
        .select(pl.col("id").alias("payment_id"), "total")
        .join(needed, on="payment_id", how="inner")
        .with_columns(amount=pl.min_horizontal(pl.col("needed").cast(AMOUNT), pl.col("total")))
        .filter(pl.col("amount") > 0)
        .select("payment_id", "amount", kind=pl.lit("payment"), txn_id=pl.col("payment_id"), is_money=pl.lit(True))
    )


def _stretched(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of a payment, laid end to end: start and end of each."""
    end = pl.col("amount").cum_sum().over("payment_id")
    return rows.with_columns(end=end, start=end - pl.col("amount"))


def _direct(inputs: ReceivableInputs, invoices: pl.DataFrame) -> pl.DataFrame:
    """What is applied without a payment: a deposit taken on the invoice itself, and lines of deposits that name an invoice."""
    on_itself = invoices.filter((pl.col("deposit") > 0) & (pl.col("status").fill_null("live") == "live")).select(
        "invoice_id",
        pl.lit("deposit").alias("source_type"),
        pl.col("invoice_id").alias("source_id"),
        pl.col("txn_date").alias("source_date"),
        pl.col("txn_date").alias("applied_on"),
        pl.col("deposit").alias("amount"),
    )
    deposits = live(inputs.deposit).select(pl.col("id").alias("source_id"), pl.col("txn_date").alias("source_date"))
    by_line = (
        inputs.lines.payment_lines.filter(
            (pl.col("source_type") == "deposit") & (pl.col("txn_type").str.to_lowercase() == "invoice") & (pl.col("amount") > 0)
        )
        .group_by("source_type", "source_id", pl.col("txn_id").alias("invoice_id"))
        .agg(pl.col("amount").sum().cast(AMOUNT))
        .join(deposits, on="source_id", how="inner")
        .join(invoices.select("invoice_id", "txn_date"), on="invoice_id", how="left")
        .with_columns(applied_on=pl.max_horizontal("source_date", "txn_date"))
        .drop("txn_date")
    )
    return pl.concat([on_itself, by_line], how="diagonal")


def _sources(inputs: ReceivableInputs, rules: Rules) -> pl.DataFrame:
    """source_type, source_id, reference and effect of every document that may be applied."""
    bad, money = _bad_debt_accounts(inputs, rules), _accounts_of(inputs, pl.col("type").is_in(_MONEY))
    return pl.concat(
        [
            live(inputs.payment).select(
                pl.lit("payment").alias("source_type"),
                pl.col("id").alias("source_id"),
                _filled("reference"),
                pl.lit("paid").alias("effect"),
            ),
            live(inputs.credit_memo)
            .join(_written_off_memos(inputs, bad), left_on="id", right_on="credit_memo_id", how="left")
            .select(
                pl.lit("credit_memo").alias("source_type"),
                pl.col("id").alias("source_id"),
                _filled("doc_number").alias("reference"),
                pl.when(pl.col("written_off").fill_null(False))
                .then(pl.lit("written_off"))
                .otherwise(pl.lit("credited"))
                .alias("effect"),
            ),
            live(inputs.journal_entry)
            .join(_effects_of_entries(inputs, bad, money), left_on="id", right_on="journal_entry_id", how="left")
            .select(
                pl.lit("journal_entry").alias("source_type"),
                pl.col("id").alias("source_id"),
                _filled("doc_number").alias("reference"),
                pl.col("effect").fill_null("credited"),
            ),
        ]
    )


def _written_off_memos(inputs: ReceivableInputs, bad: pl.DataFrame) -> pl.DataFrame:
    """Credit memos with a line that goes against bad debts, by the line's account or by that of its item."""
    items = inputs.item.select(pl.col("id").alias("item_id"), "income_account_id").unique("item_id")
    return (
        inputs.lines.credit_lines.join(items, on="item_id", how="left")
        .select("credit_memo_id", pl.coalesce("account_id", "income_account_id").alias("account_id"))
        .join(bad, on="account_id", how="semi")
        .select("credit_memo_id", written_off=pl.lit(True))
        .unique()
    )


def _effects_of_entries(inputs: ReceivableInputs, bad: pl.DataFrame, money: pl.DataFrame) -> pl.DataFrame:
    """What journal entries mean for an invoice: by the accounts on which the larger part of their debits stands."""
    effects = pl.concat(
        [
            bad.with_columns(effect=pl.lit("written_off"), weight=pl.lit(0)),
            money.with_columns(effect=pl.lit("paid"), weight=pl.lit(2)),
        ]
    ).unique("account_id", keep="first", maintain_order=True)
    return (
        inputs.lines.journal_lines.filter((pl.col("posting").str.to_lowercase() == "debit") & pl.col("amount").is_not_null())
        .join(receivable_accounts(inputs), on="account_id", how="anti")
        .join(effects, on="account_id", how="left")
        .with_columns(pl.col("effect").fill_null("credited"), pl.col("weight").fill_null(1))
        .group_by("journal_entry_id", "effect", "weight")
        .agg(pl.col("amount").sum())
        # Of equal parts the one that says least of money received.
        .sort("journal_entry_id", "amount", "weight", descending=[False, True, False])
        .unique("journal_entry_id", keep="first", maintain_order=True)
        .select("journal_entry_id", "effect")
    )


def receivable_accounts(inputs: ReceivableInputs) -> pl.DataFrame:
    """account_id of the accounts receivable."""
    return _accounts_of(inputs, pl.col("type") == _RECEIVABLE)


def _bad_debt_accounts(inputs: ReceivableInputs, rules: Rules) -> pl.DataFrame:
    names = [name.strip().casefold() for name in rules.payments.write_off_accounts]
    named = pl.any_horizontal(
        pl.col(column).fill_null("").str.strip_chars().str.to_lowercase().is_in(names)
        for column in ("name", "fully_qualified_name")
    )
    return _accounts_of(inputs, (pl.col("sub_type") == _BAD_DEBTS) | named)


def _accounts_of(inputs: ReceivableInputs, condition: pl.Expr) -> pl.DataFrame:
    typed = inputs.account.with_columns(
        type=pl.col("account_type").fill_null("").str.to_lowercase(),
        sub_type=pl.col("account_sub_type").fill_null("").str.to_lowercase(),
    )
    return typed.filter(condition).select(pl.col("id").alias("account_id")).unique()


def _filled(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)
