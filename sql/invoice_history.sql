-- reporting.invoice_history (view)
-- A row is one version of one invoice: what the pipeline believed from one pass until a later one saw it otherwise. For a day:
-- select * from reporting.invoices_on(date '2026-03-31') gives every invoice as it was believed at the end of that day of the
-- company. A voided invoice goes on as a version of 0, a deleted one as a version that is deleted, with its last values. Money
-- is in the invoice's own currency, tax included unless a column says otherwise.
--
-- @key: invoice_id, valid_from
-- @required: invoice_id, valid_from, valid_from_day, status, is_deleted, is_current
-- @values: status in live, voided, deleted
--
-- invoice_id: QuickBooks' id of the invoice
-- number: document number that the customer sees
-- valid_from: when a pass first saw it so (UTC)
-- valid_to: when a pass first saw it otherwise (UTC); null for the version of now
-- valid_from_day: day of the company of valid_from
-- valid_to_day: day of the company of valid_to
-- is_current: whether it is the version of now
-- is_deleted: whether the invoice was deleted
-- status: live, voided or deleted
-- customer_id: QuickBooks' id of the customer
-- customer: name of the customer that stood on the invoice
-- opportunity_id: Salesforce deal, from the marker of the invoice
-- invoiced_on: date of the invoice
-- due_on: when it was to be paid
-- currency: ISO code of every amount in the row
-- exchange_rate: home currency for one of currency; null in companies with one currency
-- total: total, tax included
-- tax: sales tax in the total
-- balance: what was still to be paid
-- emailed: whether QuickBooks had mailed it
select
    v.invoice_id,
    v.doc_number as number,
    v.valid_from,
    v.valid_to,
    v.valid_from_day,
    v.valid_to_day,
    v.valid_to is null as is_current,
    v.is_deleted,
    case when v.is_deleted then 'deleted' else coalesce(v.status, 'live') end as status,
    v.customer_id,
    v.customer_name as customer,
    v.opportunity_id,
    v.txn_date as invoiced_on,
    v.due_date as due_on,
    coalesce(v.currency, p.home_currency) as currency,
    v.exchange_rate,
    v.total,
    v.tax,
    v.balance,
    coalesce(v.email_status = 'EmailSent', false) as emailed
from pipeline.invoice_versions as v
left join (select max(home_currency) as home_currency from quickbooks.preferences) as p on true
