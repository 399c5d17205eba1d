"""A big company in the warehouse, as a pull leaves it, made by DuckDB itself: a million deals take minutes.

python -m qbsf_pipeline_tests.benchmarks.warehouse_company FOLDER DEALS

There are as many invoices as deals, each with three lines in its record as QuickBooks sends it, and six payments for five
invoices. Of twenty deals one is not simply won and invoiced: it is invoiced later, changed, billed in part, voided, billed
twice, billed in another currency or refused. One of fifty deals is open and one lost; the invoices that they lack were made by
hand. The ledger of the state database has the write of every invoice with a deal. The same number of deals gives the same rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import insert

from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.invoices import tables as invoices
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.tables import ledger
from qbsf_pipeline.warehouse.connection import Warehouse, ensure_table
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import TableSchema

FIRST_DAY, LAST_DAY = date(2024, 4, 1), date(2026, 3, 31)
AS_OF = date(2026, 4, 1)
NOW = datetime(2026, 4, 1, 18, tzinfo=UTC)
OWNERS, PRODUCTS = 200, 300
#: One of this many deals is of one of the kinds, in turn; the others are plain.
_REST = 20
_KINDS = ("later", "changed", "part", "void", "twice", "foreign", "refused")


def warehouse_of(folder: Path) -> Warehouse:
    """The warehouse in a folder of this benchmark."""
    return Warehouse(folder / "warehouse.duckdb")


def state_of(folder: Path) -> State:
    """The state database in a folder of this benchmark."""
    return State.open(f"sqlite:///{folder / 'state.sqlite'}", folder)


def make_company(folder: Path, deals: int) -> None:
    """Fill ``folder`` with a company of so many deals."""
    with warehouse_of(folder).connection() as connection:
        connection.execute(_base(deals))
        connection.execute(_documents(deals))
        connection.execute(_money(deals))
        for table, select in (*_salesforce(deals), *_quickbooks(deals), *_decided()):
            ensure_table(connection, table)
            connection.execute(f"INSERT INTO {table.qualified_name} BY NAME {select}")
        _marks(connection)
        _write_ledger(connection, state_of(folder))


def _base(deals: int) -> str:
    """n, deal_id, account_id, customer_id, owner_id, currency, kind, status, day, worth (cents); a row is one deal."""
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    customers = max(deals // 5, 1)
    return f"""
        CREATE OR REPLACE TEMP TABLE base AS
        SELECT
            n,
            printf('006Qy%010dIAE', n) AS deal_id,
            printf('001Qy%010dIAE', n % {customers}) AS account_id,
            n % {customers} AS customer,
            CAST(n % {customers} + 1 AS VARCHAR) AS customer_id,
            printf('005Qy%010dIAE', (n % {customers}) % {OWNERS}) AS owner_id,
            CASE WHEN (n % {customers}) % 10 = 9 THEN 'EUR' ELSE 'USD' END AS currency,
            CASE n % 50 WHEN 7 THEN 'open' WHEN 8 THEN 'lost' ELSE 'won' END AS status,
            CASE WHEN n % {_REST} = 0 THEN ([{kinds}])[1 + (n // {_REST}) % {len(_KINDS)}] ELSE 'plain' END AS kind,
            DATE '{FIRST_DAY}' + CAST((n * 7919) % {(LAST_DAY - FIRST_DAY).days + 1} AS INTEGER) AS day,
            10000 + (n * 3737) % 9000000 AS worth,
            n % 10 = 4 AS taxed
        FROM range({deals}) AS t(n)
    """


def _documents(deals: int) -> str:
    """The invoices: number, invoice_id, n, txn_date, due_date, net, tax, total (cents), currency, status, is_void, marked."""
    changed = "CASE kind WHEN 'changed' THEN worth + 5000 WHEN 'part' THEN worth // 4 ELSE worth END"
    return f"""
        CREATE OR REPLACE TEMP TABLE documents AS
        WITH first AS (
            SELECT *, 1 AS part, day + CASE kind WHEN 'later' THEN 40 ELSE 0 END AS txn_date, {changed} AS net, true AS marked
            FROM base WHERE status = 'won' AND kind <> 'refused'
        ),
        second AS (
            SELECT *, 2 AS part, day + 3 AS txn_date, {changed} AS net, true AS marked
            FROM base WHERE status = 'won' AND kind IN ('part', 'twice')
        ),
        by_hand AS (
            SELECT *, 3 AS part, day AS txn_date, worth AS net, false AS marked FROM base WHERE kind = 'plain'
            ORDER BY n * 7919 % 1000003
            LIMIT {deals} - (SELECT count(*) FROM first) - (SELECT count(*) FROM second)
        ),
        together AS (FROM first UNION ALL FROM second UNION ALL FROM by_hand),
        numbered AS (
            SELECT
                * REPLACE (CASE WHEN kind = 'foreign' THEN CASE currency WHEN 'EUR' THEN 'USD' ELSE 'EUR' END ELSE currency END
                    AS currency),
                row_number() OVER (ORDER BY txn_date, n, part) AS number,
                kind = 'void' AND part = 1 AS is_void
            FROM together
        )
        SELECT
            *,
            CAST(1000 + number AS VARCHAR) AS invoice_id,
            CASE WHEN taxed THEN net * 8 // 100 ELSE 0 END AS tax,
            net + CASE WHEN taxed THEN net * 8 // 100 ELSE 0 END AS total,
            txn_date + 30 AS due_date
        FROM numbered
    """


def _money(deals: int) -> str:
    """The payments: payment_id, number (of the invoice), amount (applied), extra (not applied), credited, paid_on (cents)."""
    return f"""
        CREATE OR REPLACE TEMP TABLE money AS
        WITH paid AS (
            SELECT *, row_number() OVER (ORDER BY number) AS rank, CASE WHEN number % 100 = 50 THEN 1000 ELSE 0 END AS credit
            FROM documents
            WHERE NOT is_void AND NOT (txn_date > DATE '{AS_OF}' - 75 AND number % 3 = 0)
        ),
        -- A third at most is paid twice; so many that there are six payments for five invoices.
        twice AS (
            SELECT number FROM paid WHERE rank % 3 = 1 ORDER BY number
            LIMIT greatest({deals * 6 // 5} - (SELECT count(*) + count(*) FILTER (WHERE credit > 0) FROM paid), 0)
        ),
        parts AS (
            SELECT p.*, t.number IS NOT NULL AS halved, p.total - p.credit AS due
            FROM paid AS p LEFT JOIN twice AS t ON p.number = t.number
        ),
        together AS (
            SELECT number, 1 AS step,
                CASE WHEN halved THEN due * 6 // 10 WHEN number % 10 = 3 THEN due // 2 ELSE due END AS amount,
                CASE WHEN number % 100 = 5 THEN 1000 ELSE 0 END AS extra, 0 AS credited,
                txn_date + CAST(5 + number * 31 % 40 AS INTEGER) AS paid_on
            FROM parts
            UNION ALL
            SELECT number, 2, due - due * 6 // 10, 0, 0, txn_date + CAST(40 + number * 17 % 30 AS INTEGER) FROM parts WHERE halved
            UNION ALL
            SELECT number, 3, credit, 0, credit, txn_date + 2 FROM parts WHERE credit > 0
        )
        SELECT
            CAST(5000000 + row_number() OVER (ORDER BY paid_on, number, step) AS VARCHAR) AS payment_id,
            t.* REPLACE (least(paid_on, DATE '{AS_OF}') AS paid_on),
            d.invoice_id, d.customer_id, d.currency, CAST(9000000 + number AS VARCHAR) AS credit_memo_id
        FROM together AS t JOIN documents AS d USING (number)
    """


def _amount(cents: str) -> str:
    """Cents as DECIMAL."""
    return f"CAST({cents} AS DECIMAL(18,0)) * CAST(0.01 AS DECIMAL(3,2))"


def _text(cents: str) -> str:
    """Cents as a JSON number."""
    return f"printf('%d.%02d', {cents} // 100, {cents} % 100)"


def _raw(record: str, modified: str, key: str = "id") -> str:
    """What every raw row has."""
    stamp = f"CAST({modified} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return (
        f"{stamp} AS source_modified_at, false AS is_deleted, md5({key} || 'v1') AS content_hash, {record} AS record, "
        f"TIMESTAMPTZ '{NOW.isoformat()}' AS extracted_at"
    )


def _named(table: TableSchema, count: int, columns: str, record: str = "'{}'") -> tuple[TableSchema, str]:
    """Some rows of a small table, from a number ``k``."""
    return table, f"SELECT *, {_raw(record, 'DATE ' + repr(str(FIRST_DAY)))} FROM (SELECT {columns} FROM range({count}) AS t(k))"


def _salesforce(deals: int) -> Iterator[tuple[TableSchema, str]]:
    customers = max(deals // 5, 1)
    yield _named(
        salesforce.ACCOUNT,
        customers,
        f"printf('001Qy%010dIAE', k) AS id, 'Account ' || k AS name, printf('005Qy%010dIAE', k % {OWNERS}) AS owner_id, "
        "CASE WHEN k % 10 = 9 THEN 'EUR' ELSE 'USD' END AS currency, 'ap' || k || '@customer.example' AS billing_email, "
        "'Denver' AS billing_city, 'USA' AS billing_country, CAST(k + 1 AS VARCHAR) AS customer_id, true AS active",
        'printf(\'{"attributes":{"type":"Account"},"Id":"%s","Name":"%s","Industry":"%s"}\', id, name, '
        "(['Retail','Energy','Banking','Media'])[1 + ascii(substr(id, 15, 1)) % 4])",
    )
    yield _named(
        salesforce.USER,
        OWNERS,
        "printf('005Qy%010dIAE', k) AS id, 'Owner ' || k AS name, 'owner' || k || '@house.example' AS email, true AS is_active",
    )
    yield _named(
        salesforce.PRODUCT2,
        PRODUCTS,
        "printf('01tQy%010dIAE', k) AS id, 'Product ' || k AS name, 'SKU-' || k AS product_code, 'Family ' || k % 8 AS family, "
        "true AS is_active",
    )
    yield _named(
        salesforce.ORGANIZATION,
        1,
        "'00DQy0000000001MAA' AS id, 'Northwind' AS name, 'USD' AS default_currency, 'America/Denver' AS time_zone",
    )
    yield _named(
        salesforce.CURRENCY_TYPE,
        2,
        "CAST(k AS VARCHAR) AS id, (['USD','EUR'])[1 + k] AS iso_code, ([1.0, 0.9])[1 + k] AS conversion_rate, true AS is_active",
    )
    record = (
        'printf(\'{"attributes":{"type":"Opportunity","url":"/services/data/v66.0/sobjects/Opportunity/%s"},"Id":"%s",'
        '"Name":"Deal %d","AccountId":"%s","OwnerId":"%s","CloseDate":"%s","IsWon":%s,"IsClosed":true,"Amount":%s,'
        '"HasOpportunityLineItem":true,"CurrencyIsoCode":"%s","Payment_Terms__c":"Net 30","IsDeleted":false}\', '
        "b.deal_id, b.deal_id, b.n, b.account_id, b.owner_id, CAST(b.day AS VARCHAR), CAST(b.status = 'won' AS VARCHAR), "
        f"{_text('b.worth')}, b.currency)"
    )
    yield (
        salesforce.OPPORTUNITY,
        f"""
        SELECT
            b.deal_id AS id, 'Deal ' || b.n AS name, b.account_id, b.owner_id, b.day AS close_date,
            CASE b.status WHEN 'won' THEN 'Closed Won' WHEN 'lost' THEN 'Closed Lost' ELSE 'Negotiation/Review' END AS stage_name,
            b.status = 'won' AS is_won, b.status <> 'open' AS is_closed, {_amount("b.worth")} AS amount, b.currency,
            true AS has_line_items, 'Net 30' AS payment_terms,
            'https://contracts.house.example/' || b.n || '.pdf' AS contract_url,
            CASE WHEN b.n % 25 = 3 THEN 'Monthly' WHEN b.kind = 'part' THEN 'Quarterly' ELSE 'One-Time' END AS billing_frequency,
            CASE WHEN b.n % 25 = 3 THEN 12 WHEN b.kind = 'part' THEN 4 END AS billing_periods,
            CASE WHEN b.n % 25 = 3 OR b.kind = 'part' THEN b.day END AS billing_start_date,
            d.invoice_id, 'INV-' || d.number AS invoice_number,
            'https://app.qbo.intuit.com/app/invoice?txnId=' || d.invoice_id AS invoice_url,
            CAST(b.day - 45 AS TIMESTAMP) AT TIME ZONE 'UTC' AS created_at,
            {_raw(record, "b.day + 1", "b.deal_id")}
        FROM base AS b LEFT JOIN documents AS d ON b.n = d.n AND d.part = 1
        """,
    )
    line_record = (
        '\'{"attributes":{"type":"OpportunityLineItem"},"Id":"\' || line_id || \'","OpportunityId":"\' || deal_id || \'"}\''
    )
    worth = "CASE i WHEN 1 THEN worth // 2 WHEN 2 THEN worth // 4 ELSE worth - worth // 2 - worth // 4 END"
    yield (
        salesforce.OPPORTUNITY_LINE_ITEM,
        f"""
        SELECT
            line_id AS id, deal_id AS opportunity_id, printf('01tQy%010dIAE', product) AS product_id,
            'SKU-' || product AS product_code, 'Product ' || product AS name, 'As agreed' AS description, 1 AS quantity,
            {_amount("price")} AS unit_price, {_amount("price")} AS list_price, {_amount("price")} AS total_price,
            {_amount("price")} AS subtotal, i AS sort_order,
            {_raw(line_record, "day", "line_id")}
        FROM (
            SELECT *, printf('00kQy%09d%dIAE', n, i) AS line_id, (n * 3 + i) % {PRODUCTS} AS product, {worth} AS price
            FROM base CROSS JOIN range(1, 4) AS r(i)
        )
        """,
    )


def _line(place: int) -> str:
    """One line of an invoice as QuickBooks sends it; ``net`` in cents is spread over three of them."""
    cents = ("net // 2", "net // 4", "(net - net // 2 - net // 4)")[place - 1]
    item = f"CAST((n * 3 + {place}) % {PRODUCTS} + 1 AS VARCHAR)"
    return (
        f'printf(\'{{"Id":"{place}","LineNum":{place},"Description":"Product as agreed, part {place}","Amount":%s,'
        '"DetailType":"SalesItemLineDetail","SalesItemLineDetail":{"ItemRef":{"value":"%s","name":"Product %s"},'
        '"Qty":1,"UnitPrice":%s,"ItemAccountRef":{"value":"4","name":"Sales of Product Income"},'
        '"TaxCodeRef":{"value":"NON"}}}\', '
        f"{_text(cents)}, {item}, {item}, {_text(cents)})"
    )


def _invoice_record() -> str:
    head = (
        'printf(\'{"domain":"QBO","sparse":false,"Id":"%s","SyncToken":"1","MetaData":{"CreateTime":"%sT11:05:00-07:00",'
        '"LastUpdatedTime":"%sT11:05:00-07:00"},"CustomerRef":{"value":"%s","name":"Account %d"},"DocNumber":"INV-%d",'
        '"TxnDate":"%s","DueDate":"%s","SalesTermRef":{"value":"3","name":"Net 30"},'
        '"BillEmail":{"Address":"ap%d@customer.example"},'
        '"EmailStatus":"EmailSent","DeliveryInfo":{"DeliveryType":"Email","DeliveryTime":"%sT12:00:00-07:00"},"Line":[\', '
        "invoice_id, CAST(txn_date AS VARCHAR), CAST(txn_date AS VARCHAR), customer_id, customer, "
        "number, CAST(txn_date AS VARCHAR), "
        "CAST(due_date AS VARCHAR), customer, CAST(txn_date AS VARCHAR))"
    )
    tail = (
        'printf(\',{"Amount":%s,"DetailType":"SubTotalLineDetail","SubTotalLineDetail":{}}],"CurrencyRef":{"value":"%s"},'
        '"BillAddr":{"Line1":"149 Main Street","City":"Peoria","CountrySubDivisionCode":"IL","PostalCode":"61602",'
        '"Country":"USA"},'
        '"TxnTaxDetail":{"TotalTax":%s},"TotalAmt":%s,"PrintStatus":"NeedToPrint","ApplyTaxAfterDiscount":false,"Deposit":0,'
        '"AllowIPNPayment":false,"AllowOnlinePayment":false,"AllowOnlineCreditCardPayment":false,'
        '"AllowOnlineACHPayment":false}\', '
        f"{_text('net')}, currency, {_text('tax')}, {_text('total')})"
    )
    return f"{head} || {_line(1)} || ',' || {_line(2)} || ',' || {_line(3)} || {tail}"


def _payment_record() -> str:
    link = '{"Amount":%s,"LinkedTxn":[{"TxnId":"%s","TxnType":"%s"}],"LineEx":{"any":[{"name":"NameValue","nil":false}]}}'
    credit = f"CASE WHEN credited > 0 THEN printf(',{link}', {_text('credited')}, credit_memo_id, 'CreditMemo') ELSE '' END"
    return (
        'printf(\'{"domain":"QBO","sparse":false,"Id":"%s","SyncToken":"0","CustomerRef":{"value":"%s"},"TotalAmt":%s,'
        '"TxnDate":"%s","Line":[\', payment_id, customer_id, '
        f"{_text('(amount + extra - credited)')}, CAST(paid_on AS VARCHAR)) || "
        f"printf('{link}', {_text('amount')}, invoice_id, 'Invoice') || {credit} || "
        'printf(\'],"CurrencyRef":{"value":"%s"},"DepositToAccountRef":{"value":"2","name":"Undeposited Funds"},'
        f'"ProcessPayment":false,"UnappliedAmt":%s}}\', currency, {_text("extra")})'
    )


def _quickbooks(deals: int) -> Iterator[tuple[TableSchema, str]]:
    rate = "CASE currency WHEN 'EUR' THEN 1.1 ELSE 1.0 END AS exchange_rate"
    yield _named(
        quickbooks.CUSTOMER,
        max(deals // 5, 1),
        "CAST(k + 1 AS VARCHAR) AS id, 'Account ' || k AS display_name, 'ap' || k || '@customer.example' AS email, "
        "CASE WHEN k % 10 = 9 THEN 'EUR' ELSE 'USD' END AS currency, '3' AS term_id, true AS active, 0 AS balance",
    )
    yield _named(
        quickbooks.ITEM,
        PRODUCTS,
        "CAST(k + 1 AS VARCHAR) AS id, 'Product ' || k AS name, 'Product ' || k AS fully_qualified_name, 'SKU-' || k AS sku, "
        "'Service' AS type, true AS active, '4' AS income_account_id",
    )
    yield _named(quickbooks.TERM, 1, "'3' AS id, 'Net 30' AS name, 'STANDARD' AS type, true AS active, 30 AS due_days")
    yield _named(
        quickbooks.ACCOUNT,
        3,
        "CAST(k + 2 AS VARCHAR) AS id, (['Undeposited Funds','Accounts Receivable','Sales'])[1 + k] AS name, "
        "(['Undeposited Funds','Accounts Receivable','Sales'])[1 + k] AS fully_qualified_name, "
        "(['Other Current Asset','Accounts Receivable','Income'])[1 + k] AS account_type, true AS active, 'USD' AS currency",
    )
    yield _named(quickbooks.PAYMENT_METHOD, 2, "CAST(k + 1 AS VARCHAR) AS id, (['Check','ACH'])[1 + k] AS name, true AS active")
    yield _named(quickbooks.PREFERENCES, 1, "'1' AS id, 'USD' AS home_currency, true AS multi_currency")
    yield _named(quickbooks.COMPANY_INFO, 1, "'1' AS id, 'Northwind' AS name, 'America/Denver' AS time_zone")
    yield (
        quickbooks.INVOICE,
        f"""
        SELECT
            d.invoice_id AS id, '1' AS sync_token, 'INV-' || d.number AS doc_number, d.customer_id,
            'Account ' || d.customer AS customer_name, d.txn_date, d.due_date,
            CASE WHEN is_void THEN 0 ELSE {_amount("total")} END AS total,
            CASE WHEN is_void THEN 0 ELSE {_amount("total - coalesce(m.applied, 0)")} END AS balance,
            CASE WHEN is_void THEN 0 ELSE {_amount("tax")} END AS tax, 0 AS deposit, currency, {rate}, '3' AS term_id,
            'EmailSent' AS email_status, 'ap' || customer || '@customer.example' AS bill_email,
            CASE WHEN is_void THEN 'voided' ELSE 'live' END AS status, CASE WHEN marked THEN d.deal_id END AS opportunity_id,
            CAST(d.txn_date AS TIMESTAMP) AT TIME ZONE 'UTC' AS created_at,
            {_raw(_invoice_record(), "d.txn_date + 1", "d.invoice_id")}
        FROM documents AS d
        LEFT JOIN (SELECT invoice_id AS paid_id, sum(amount) AS applied FROM money GROUP BY ALL) AS m ON d.invoice_id = m.paid_id
        """,
    )
    yield (
        quickbooks.PAYMENT,
        f"""
        SELECT
            payment_id AS id, '0' AS sync_token, customer_id, paid_on AS txn_date,
            {_amount("amount + extra - credited")} AS total, {_amount("extra")} AS unapplied, currency, {rate},
            CAST(1 + number % 2 AS VARCHAR) AS method_id, 'CHK-' || payment_id AS reference,
            CAST(paid_on AS TIMESTAMP) AT TIME ZONE 'UTC' AS created_at, {_raw(_payment_record(), "paid_on", "payment_id")}
        FROM money
        """,
    )
    memo = '\'{"Id":"\' || credit_memo_id || \'","Line":[],"TxnTaxDetail":{"TotalTax":0}}\''
    yield (
        quickbooks.CREDIT_MEMO,
        f"""
        SELECT
            credit_memo_id AS id, '0' AS sync_token, 'CM-' || number AS doc_number, customer_id, paid_on AS txn_date,
            {_amount("credited")} AS total, 0 AS remaining, currency, {_raw(memo, "paid_on", "credit_memo_id")}
        FROM money WHERE credited > 0
        """,
    )
    for table in (quickbooks.DEPOSIT, quickbooks.JOURNAL_ENTRY, quickbooks.REFUND_RECEIPT):
        yield _named(table, 0, "CAST(k AS VARCHAR) AS id")


def _decided() -> Iterator[tuple[TableSchema, str]]:
    """What the flows of customers and invoices decided."""
    yield (
        MATCHES,
        "SELECT id AS account_id, name AS account_name, 'linked' AS outcome, customer_id, 'id' AS method, "
        f"'The account names the customer.' AS reason, '{{}}' AS evidence FROM {salesforce.ACCOUNT.qualified_name}",
    )
    deal = (
        "deal_id AS opportunity_id, 'Deal ' || n AS deal, account_id, 'Account ' || customer AS account_name, owner_id, "
        f"{_amount('worth')} AS amount, currency"
    )
    yield (
        invoices.DEALS,
        f"SELECT {deal}, day AS close_date, CASE kind WHEN 'refused' THEN 'refused' ELSE 'invoiced' END AS outcome, "
        "CASE kind WHEN 'refused' THEN 'The deal has no products.' ELSE 'The deal holds an invoice.' END AS detail "
        "FROM base WHERE status = 'won'",
    )
    yield (
        invoices.REFUSALS,
        f"SELECT {deal}, 'no_line_items' AS code, 'The deal has no products.' AS reason, "
        "'Add the products that were sold.' AS remedy, 1 AS position FROM base WHERE status = 'won' AND kind = 'refused'",
    )


def _marks(connection: duckdb.DuckDBPyConnection) -> None:
    """Every raw table was read whole: then what is not in it is gone."""
    ensure_table(connection, WATERMARKS)
    for table in (*salesforce.TABLES, *quickbooks.TABLES):
        ensure_table(connection, table)
        connection.execute(
            f"INSERT INTO {WATERMARKS.qualified_name} BY NAME SELECT ? AS table_name, ? AS read_until, ? AS last_full_at, "
            f"? AS pulled_at, count(*) AS rows_live, 0 AS rows_lost FROM {table.qualified_name}",
            [f"{table.schema}.{table.name}", NOW, NOW, NOW],
        )


def _write_ledger(connection: duckdb.DuckDBPyConnection, state: State) -> None:
    """A done write for every invoice that has a deal."""
    found = connection.execute(
        f"SELECT deal_id, account_id, customer, part, invoice_id, number, {_amount('net')} AS amount, currency, "
        f"txn_date, due_date "
        "FROM documents WHERE marked ORDER BY number"
    )
    names = [column[0] for column in found.description or ()]
    with state.engine.begin() as writing:
        while batch := found.fetchmany(20_000):
            writing.execute(insert(ledger), [_write(dict(zip(names, row, strict=True))) for row in batch])


def _write(row: dict[str, Any]) -> dict[str, Any]:
    done = datetime.combine(row["txn_date"], NOW.timetz())
    return {
        "key": f"create_invoice:00DQy0000000001MAA:9130350000000001:{row['deal_id']}:{row['part']}",
        "plan_id": f"plan-{row['txn_date']}",
        "batch": f"batch-{row['txn_date']}",
        "flow": "invoices",
        "operation": "create_invoice",
        "target_system": "quickbooks",
        "target_object": "Invoice",
        "source_object": "Opportunity",
        "source_id": row["deal_id"],
        "account_id": row["account_id"],
        "opportunity_id": row["deal_id"],
        "depends_on": "",
        "payload": "{}",
        "reason": "The deal was won.",
        "decided_from": "{}",
        "label": f"INV-{row['number']}",
        "customer_name": f"Account {row['customer']}",
        "amount": row["amount"],
        "currency": row["currency"],
        "txn_date": row["txn_date"],
        "due_date": row["due_date"],
        "position": row["number"],
        "status": "done",
        "attempts": 1,
        "result_id": row["invoice_id"],
        "created_at": done,
        "updated_at": done,
        "done_at": done,
    }


if __name__ == "__main__":
    make_company(Path(sys.argv[1]), int(sys.argv[2]))
