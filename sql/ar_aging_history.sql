-- reporting.ar_aging_history (view)
-- A row is one document on one day: what reporting.ar_aging held at the end of that day, kept for ever, and beside it what the
-- books say about that day now. A void, an edit or a payment that is dated back changes the past in place: restated is not 0
-- then. An invoice that was entered later and dated back has no row, for nobody knew of it. Days on which no pass ran have no
-- rows. Money is in the document's own currency unless a column says otherwise.
--
-- @key: as_of, document_key
-- @required: kind, document_id, open
-- @values: kind in invoice, payment, credit_memo, journal_entry, deposit
-- @measure: restated | open by the books of now - open as told on the day | unit: the document's currency
--     | source: prior-period adjustment, as auditors use the word
--
-- as_of: the day
-- document_key: kind, id and customer of the document as one text
-- kind: invoice, payment, credit_memo, journal_entry or deposit
-- document_id: QuickBooks' id of the document
-- number: number of an invoice or credit memo, reference of a payment
-- customer_id: QuickBooks' id of the customer
-- customer: display name of the customer, as on that day
-- opportunity_id: Salesforce deal that the invoice bills
-- deal: name of the deal, as on that day
-- owner: owner of the deal, as on that day
-- dated_on: date of the document, as on that day
-- due_on: when it was to be paid, as on that day
-- days_past_due: days past due on that day
-- bucket: bucket on that day
-- currency: ISO code of every amount in the row but open_home
-- open: what was open, as told on that day; below zero for what was not applied
-- open_home: open in the company's currency, as told on that day
-- home_currency: ISO code of the company's currency
-- status: payment status on that day
-- open_restated: what was open on that day by the books of now; 0 for an invoice that is gone; null for what is no invoice
-- restated: open_restated minus open: how much the past has changed since
-- read_at: when QuickBooks had been read for the snapshot (UTC)
with still_to_come as (
    select h.as_of, h.document_id, sum(a.amount) as amount
    from pipeline.ar_aging_history as h
    inner join receivables.applications as a on h.document_id = a.invoice_id and h.as_of < a.applied_on
    where h.kind = 'invoice'
    group by h.as_of, h.document_id
),

restated as (
    select
        h.*,
        -- What was applied later was open on the day.
        case
            when h.kind <> 'invoice' then null
            when i.txn_date <= h.as_of then i.open + coalesce(l.amount, 0)
            else 0
        end as open_restated
    from pipeline.ar_aging_history as h
    left join receivables.invoices as i on h.document_id = i.invoice_id
    left join still_to_come as l on h.as_of = l.as_of and h.document_id = l.document_id
)

select
    as_of,
    concat_ws(' ', kind, document_id, coalesce(customer_id, '-')) as document_key,
    kind,
    document_id,
    number,
    customer_id,
    customer,
    opportunity_id,
    deal,
    owner,
    dated_on,
    due_on,
    days_past_due,
    bucket,
    currency,
    open,
    open_home,
    home_currency,
    status,
    open_restated,
    open_restated - open as restated,
    read_at
from restated
