-- reporting.payments
-- A row is one application: what one payment, credit memo, deposit or journal entry settles of one invoice. A payment over three
-- invoices is three rows; what is not applied yet stands in reporting.ar_aging. Amounts are in the invoice's currency. Days are
-- whole days between dates of the company.
--
-- @key: application_id
-- @required: application_id, kind, effect, amount, currency
-- @refers: invoice_id to invoices.invoice_id
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @values: kind in payment, credit_memo, deposit, journal_entry
-- @values: effect in paid, credited, written_off
-- @measure: days_from_invoice | applied_on - invoice date; weight it by amount for the average days to pay
--     | unit: days | source: average days to pay as collections reports define it
-- @measure: days_from_due | applied_on - due date; above zero is late | unit: days | source: Intuit's A/R ageing report
--
-- application_id: stays the same as long as the application is there
-- applied_on: the day from which it counts: the newest of the dates of the money, the payment and the invoice
-- paid_on: date of the document that the money comes from
-- kind: where the money comes from: payment, credit_memo, deposit or journal_entry
-- effect: what it means for the invoice: paid, credited or written_off (no money came in)
-- source_id: QuickBooks' id of that document
-- payment_id: the payment that applies it: the payment itself, or the payment of 0.00 that ties a credit to an invoice
-- amount: what it settles
-- currency: ISO code of amount
-- amount_home: amount at the exchange rate of the payment, else of the invoice, rounded by itself; null without a rate
-- home_currency: ISO code of the company's currency
-- method: payment method, such as Check or ACH
-- reference: cheque number or other reference of a payment; number of a credit memo or journal entry
-- customer_key: the real customer of the invoice: reporting.customers
-- customer_id: QuickBooks' id of the customer of the invoice
-- customer: display name of that customer
-- invoice_id: QuickBooks' id of the invoice
-- number: document number of the invoice
-- invoice_total: total of the invoice, tax included
-- invoice_status: payment status of the invoice now
-- invoiced_on: date of the invoice
-- due_on: when the invoice was to be paid
-- days_from_invoice: days from invoiced_on to applied_on; 0 for what was paid before the invoice
-- days_from_due: days from due_on to applied_on; above zero is late, below zero early
-- opportunity_id: Salesforce deal that the invoice bills; null where there is none
-- deal: name of the deal
-- owner_id: owner of the deal
-- owner: name of the owner
with home as (select max(home_currency) as currency from quickbooks.preferences),

rates as (select id, exchange_rate from quickbooks.payment where exchange_rate is not null)

select
    a.application_id,
    a.applied_on,
    a.source_date as paid_on,
    a.source_type as kind,
    a.effect,
    a.source_id,
    case when a.source_type = 'payment' then coalesce(a.through_id, a.source_id) else a.through_id end as payment_id,
    a.amount,
    coalesce(a.currency, i.currency, home.currency) as currency,
    cast(
        case
            when coalesce(a.currency, i.currency, home.currency) is not distinct from home.currency then a.amount
            else round(a.amount * coalesce(r.exchange_rate, i.exchange_rate), 2)
        end as decimal(18, 2)
    ) as amount_home,
    home.currency as home_currency,
    a.method,
    a.reference,
    c.customer_key,
    coalesce(i.customer_id, a.customer_id) as customer_id,
    c.name as customer,
    a.invoice_id,
    i.doc_number as number,
    i.total as invoice_total,
    i.status as invoice_status,
    i.txn_date as invoiced_on,
    coalesce(i.due_date, i.txn_date) as due_on,
    a.applied_on - i.txn_date as days_from_invoice,
    a.applied_on - coalesce(i.due_date, i.txn_date) as days_from_due,
    i.opportunity_id,
    o.name as deal,
    o.owner_id,
    u.name as owner
from receivables.applications as a
left join receivables.invoices as i on a.invoice_id = i.invoice_id
-- The kind stands in the key: as a condition of its own it makes DuckDB compare every row with every other.
left join rates as r on case when a.source_type = 'payment' then a.source_id end = r.id
left join reporting.customer_records as c on coalesce(i.customer_id, a.customer_id) = c.record_id
left join salesforce.opportunity as o on i.opportunity_id = o.id
left join salesforce.user as u on o.owner_id = u.id
cross join home
