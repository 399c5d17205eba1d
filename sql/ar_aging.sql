-- reporting.ar_aging
-- A row is one document that is open as of today: an invoice with something left to pay or, below zero, a payment, credit memo
-- or journal entry of a customer that is not applied to an invoice yet. Today is a day of the QuickBooks company; invoices and
-- applications dated after it do not count (method "report date" of QuickBooks' ageing). Invoices age from their due date, what
-- is not applied from its own date. The sum of open_home is the company's accounts receivable without journal debits.
-- Money is in the document's own currency unless a column says otherwise. Source of the definitions: Intuit's A/R ageing report.
--
-- @key: document_key
-- @required: as_of, kind, document_id, days_past_due, bucket, currency, open
-- @refers: customer_key to customers.customer_key
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: owner_id to owners.owner_id
-- @values: kind in invoice, payment, credit_memo, journal_entry, deposit
-- @measure: days_past_due | max(0, as_of - due_on) | unit: days | source: Intuit's A/R ageing report
-- @measure: open | total - applications dated up to as_of; what is not applied is below zero | unit: the document's currency
--     | source: Intuit's A/R ageing report, method "report date"
--
-- document_key: kind, id and customer of the document as one text
-- as_of: the day that counts as today
-- kind: invoice, payment, credit_memo, journal_entry or deposit
-- document_id: QuickBooks' id of the document
-- number: number of an invoice or credit memo, reference of a payment
-- customer_key: the real customer: reporting.customers
-- customer_id: QuickBooks' id of the customer
-- customer: display name of the customer
-- opportunity_id: Salesforce deal that the invoice bills; null where there is none
-- deal: name of the deal
-- owner_id: owner of the deal
-- owner: name of the owner
-- dated_on: date of the document
-- due_on: when an invoice is to be paid; the document's own date for what is not applied
-- due_imputed: whether the invoice has no due date and its terms or its date stand in
-- days_past_due: days from due_on to as_of; the day after it is 1; 0 until then
-- days_since_dated: days from dated_on to as_of
-- bucket: bucket of days_past_due, as on the deal in Salesforce (edges in the rules); day 90 belongs to 61-90
-- bucket_position: order of the buckets, from 0
-- currency: ISO code of every amount in the row but open_home
-- total: total of an invoice, tax included; null for what is not applied
-- open: total minus everything applied up to as_of; below zero for what is not applied
-- open_home: open at the document's exchange rate, in home_currency; null where a foreign document has no rate
-- home_currency: ISO code of the company's currency
-- status: payment status of the deal's invoice, as in Salesforce; null for what is not applied
-- disputed: whether a person marked the invoice as disputed
-- explained: whether what is applied explains QuickBooks' own balance of the invoice
-- last_payment_on: date of the newest payment on the invoice
-- link: for a person to open the invoice, where it was written on the deal
with today as (select max(as_of) as as_of from pipeline.reporting_day),

home as (select max(home_currency) as currency from quickbooks.preferences),

sources as (
    select 'payment' as kind, id, customer_id, reference as number, txn_date, exchange_rate from quickbooks.payment
    union all by name
    select
        'credit_memo' as kind,
        id,
        customer_id,
        doc_number as number,
        txn_date,
        try_cast(json_extract_string(record, '$.ExchangeRate') as decimal(28, 10)) as exchange_rate
    from quickbooks.credit_memo
    union all by name
    select
        'journal_entry' as kind,
        id,
        cast(null as varchar) as customer_id,
        doc_number as number,
        txn_date,
        exchange_rate
    from quickbooks.journal_entry
    union all by name
    select
        'deposit' as kind,
        id,
        cast(null as varchar) as customer_id,
        cast(null as varchar) as number,
        txn_date,
        exchange_rate
    from quickbooks.deposit
),

-- Applied on the newest of the dates of money, payment and invoice: until then the invoice is open and the money not applied.
later as (
    select a.*
    from receivables.applications as a
    cross join today
    where a.applied_on > today.as_of
),

invoices as (
    select
        'invoice' as kind,
        i.invoice_id as document_id,
        i.doc_number as number,
        i.customer_id,
        i.opportunity_id,
        i.txn_date as dated_on,
        coalesce(i.due_date, i.txn_date) as due_on,
        i.due_date_imputed as due_imputed,
        i.currency,
        i.exchange_rate,
        i.total,
        i.open + coalesce(l.amount, 0) as open,
        i.status,
        i.disputed,
        i.explained,
        i.last_payment_on
    from receivables.invoices as i
    left join (select invoice_id, sum(amount) as amount from later group by invoice_id) as l on i.invoice_id = l.invoice_id
    cross join today
    where coalesce(i.txn_date <= today.as_of, true)
),

not_applied as (
    select kind, source_id, customer_id, txn_date, currency, amount from receivables.unapplied
    union all by name
    select source_type as kind, source_id, customer_id, source_date as txn_date, currency, amount from later
),

credits as (
    select
        n.kind,
        n.source_id as document_id,
        max(s.number) as number,
        coalesce(s.customer_id, n.customer_id) as customer_id,
        coalesce(max(s.txn_date), max(n.txn_date)) as dated_on,
        coalesce(max(s.txn_date), max(n.txn_date)) as due_on,
        n.currency,
        max(s.exchange_rate) as exchange_rate,
        -sum(n.amount) as open
    from not_applied as n
    left join sources as s on n.kind = s.kind and n.source_id = s.id
    cross join today
    where coalesce(coalesce(s.txn_date, n.txn_date) <= today.as_of, true)
    group by n.kind, n.source_id, coalesce(s.customer_id, n.customer_id), n.currency
),

documents as (
    select * from invoices
    union all by name
    select * from credits
),

aged as (
    select
        d.*,
        today.as_of,
        home.currency as home_currency,
        greatest(today.as_of - coalesce(d.due_on, today.as_of), 0) as days_past_due
    from documents as d
    cross join today
    left join home on true
    where d.open <> 0 and today.as_of is not null
)

select
    concat_ws(' ', d.kind, d.document_id, coalesce(d.customer_id, '-')) as document_key,
    d.as_of,
    d.kind,
    d.document_id,
    d.number,
    c.customer_key,
    d.customer_id,
    c.name as customer,
    d.opportunity_id,
    o.name as deal,
    o.owner_id,
    u.name as owner,
    d.dated_on,
    d.due_on,
    d.due_imputed,
    d.days_past_due,
    d.as_of - d.dated_on as days_since_dated,
    b.bucket,
    b.position as bucket_position,
    coalesce(d.currency, d.home_currency) as currency,
    d.total,
    cast(d.open as decimal(18, 2)) as open,
    cast(
        case
            when coalesce(d.currency, d.home_currency) is not distinct from d.home_currency then d.open
            else round(cast(d.open as decimal(18, 2)) * d.exchange_rate, 2)
        end as decimal(18, 2)
    ) as open_home,
    d.home_currency,
    d.status,
    d.disputed,
    d.explained,
    d.last_payment_on,
    o.invoice_url as link
from aged as d
left join pipeline.aging_buckets as b on d.days_past_due between b.first_day and coalesce(b.last_day, d.days_past_due)
left join reporting.customer_records as c on d.customer_id = c.record_id
left join salesforce.opportunity as o on d.opportunity_id = o.id
left join salesforce.user as u on o.owner_id = u.id
