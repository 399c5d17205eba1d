-- reporting.ar_aging_by_customer
-- A row is what one customer owes in one currency as of today, by how many days it is past due: sums of reporting.ar_aging.
-- Amounts of several currencies are never added; total_home is the only amount in the company's currency.
-- A day that ends a range belongs to it; the day after the due date is day 1.
--
-- @key: row_key
-- @required: row_key, as_of, currency, invoiced_open, credits, total
-- @refers: customer_key to customers.customer_key
-- @balances: sum(total) by currency = ar_aging.sum(open)
-- @measure: weighted_days_past_due | sum(open x days past due) / sum(open) of the open invoices | unit: days
--     | source: weighted average days past due as credit managers use it
--
-- row_key: customer and currency as one text
-- as_of: the day that counts as today
-- customer_key: the real customer: reporting.customers
-- customer_id: QuickBooks' id of the customer
-- customer: display name of the customer
-- currency: ISO code of every amount in the row but total_home
-- invoices: open invoices
-- not_due: open on invoices that are not past due
-- days_1_to_30: open on invoices 1 to 30 days past due
-- days_31_to_60: open on invoices 31 to 60 days past due
-- days_61_to_90: open on invoices 61 to 90 days past due
-- days_over_90: open on invoices more than 90 days past due
-- invoiced_open: open on all invoices: the five columns before
-- past_due: the part of it that is past due
-- credits: payments and credits that are not applied to an invoice yet; 0 or below
-- total: invoiced_open plus credits: what the customer owes
-- total_home: total in home_currency, each document at its own exchange rate; null where one has no rate
-- home_currency: ISO code of the company's currency
-- weighted_days_past_due: days past due of the invoices, each weighted by what is open of it
-- oldest_due_on: due date of the oldest open invoice
-- disputed: the part of invoiced_open that is marked as disputed
select
    concat_ws(' ', coalesce(customer_id, '-'), currency) as row_key,
    as_of,
    customer_key,
    customer_id,
    customer,
    currency,
    count(*) filter (where kind = 'invoice') as invoices,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due = 0), 0) as not_due,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 1 and 30), 0) as days_1_to_30,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 31 and 60), 0) as days_31_to_60,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 61 and 90), 0) as days_61_to_90,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due > 90), 0) as days_over_90,
    coalesce(sum(open) filter (where kind = 'invoice'), 0) as invoiced_open,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due > 0), 0) as past_due,
    coalesce(sum(open) filter (where kind <> 'invoice'), 0) as credits,
    sum(open) as total,
    case when count(*) = count(open_home) then sum(open_home) end as total_home,
    home_currency,
    try_cast(
        round(
            sum(open * days_past_due) filter (where kind = 'invoice') / nullif(sum(open) filter (where kind = 'invoice'), 0), 1
        ) as decimal(18, 1)
    ) as weighted_days_past_due,
    min(due_on) filter (where kind = 'invoice') as oldest_due_on,
    coalesce(sum(open) filter (where disputed), 0) as disputed
from reporting.ar_aging
group by as_of, customer_key, customer_id, customer, currency, home_currency
order by customer, customer_id, currency
