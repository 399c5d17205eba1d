-- reporting.quote_to_cash (view)
-- A row is one won deal and the days that it took from stage to stage: created, won, invoiced, sent, settled. A stage that is not
-- reached yet has no date and no days. Days are whole days between dates; below zero is in advance, as an invoice before the
-- close date. Money is in the deal's own currency.
--
-- @key: opportunity_id
-- @required: opportunity_id, stage
-- @refers: opportunity_id to deals.opportunity_id
-- @values: stage in won, invoiced, sent, settled
-- @measure: days_won_to_invoiced | date of the first live invoice - close date | unit: days | source: quote-to-cash cycle time
-- @measure: days_invoiced_to_sent | day of mailing - invoice date | unit: days | source: quote-to-cash cycle time
-- @measure: days_sent_to_settled | day on which nothing is open - day of mailing (invoice date where that is not known)
--     | unit: days | source: quote-to-cash cycle time
-- @measure: days_won_to_settled | day on which nothing is open - close date | unit: days | source: quote-to-cash cycle time
--
-- opportunity_id: Salesforce deal
-- deal: name of the deal
-- customer_key: the real customer: reporting.customers
-- account: name of the account
-- owner_id: owner of the deal
-- owner: name of the owner
-- stage: the furthest that it came: won, invoiced, sent or settled
-- created_on: day on which the deal was created
-- closed_on: day on which it was won
-- month: month of that day
-- invoiced_on: date of its first live invoice
-- sent_on: day on which that was mailed first
-- settled_on: day on which the last of its invoices was paid or credited in full
-- days_created_to_won: days from created_on to closed_on
-- days_won_to_invoiced: days from closed_on to invoiced_on
-- days_invoiced_to_sent: days from invoiced_on to sent_on
-- days_sent_to_settled: days from sent_on, else invoiced_on, to settled_on
-- days_won_to_settled: days from closed_on to settled_on
-- currency: ISO code of every amount in the row
-- booked: amount of the deal
-- invoiced: totals of its live invoices, without tax
-- paid: what was paid of them, tax included
-- open: what is open of them, tax included
select
    opportunity_id,
    deal,
    customer_key,
    account,
    owner_id,
    owner,
    case
        when settled_on is not null then 'settled'
        when first_sent_on is not null then 'sent'
        when first_invoiced_on is not null then 'invoiced'
        else 'won'
    end as stage,
    created_on,
    closed_on,
    cast(date_trunc('month', closed_on) as date) as month,
    first_invoiced_on as invoiced_on,
    first_sent_on as sent_on,
    settled_on,
    closed_on - created_on as days_created_to_won,
    first_invoiced_on - closed_on as days_won_to_invoiced,
    first_sent_on - first_invoiced_on as days_invoiced_to_sent,
    settled_on - coalesce(first_sent_on, first_invoiced_on) as days_sent_to_settled,
    settled_on - closed_on as days_won_to_settled,
    currency,
    booked,
    invoiced,
    paid,
    open
from reporting.deals
where status = 'won'
