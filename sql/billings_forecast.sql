-- reporting.billings_forecast
-- A row is what is to be billed of one customer's billing schedules in one of the next twelve months, in one currency. The month
-- under way is the first one; periods that fell due before and are not billed yet are in it. Without tax. Deals that are one
-- invoice are not in it, nor is what a person has not approved yet.
--
-- @key: row_key
-- @required: row_key, month, periods, expected, held
-- @refers: customer_key to customers.customer_key
-- @measure: expected | amounts of periods that are planned or due, by the month of their day | unit: currency of the row
--     | source: billings forecast of contracted schedules, as in SaaS metrics
-- @measure: held | amounts of periods whose schedule rests, or that wait for a person | unit: currency of the row | source: qbsf
--
-- row_key: month, customer and currency as one text
-- month: first day of the month
-- customer_key: the real customer: reporting.customers; null for a deal without an account
-- customer: its name
-- currency: ISO code of every amount in the row
-- periods: periods that are planned, due or held
-- expected: what is to be billed
-- held: what would be billed, and waits
with today as (select max(as_of) as as_of from pipeline.reporting_day),

ahead as (
    select
        s.*,
        cast(date_trunc('month', greatest(s.due_on, t.as_of)) as date) as month
    from reporting.billing_schedules as s
    cross join today as t
    where
        s.status in ('planned', 'due', 'under_way', 'held')
        and s.due_on < cast(date_trunc('month', t.as_of) + interval 12 month as date)
)

select
    concat_ws(' ', strftime(month, '%Y-%m'), coalesce(customer_key, '-'), coalesce(currency, '-')) as row_key,
    month,
    customer_key,
    max(customer) as customer,
    currency,
    count(*) as periods,
    cast(sum(case when status <> 'held' then amount else 0 end) as decimal(18, 2)) as expected,
    cast(sum(case when status = 'held' then amount else 0 end) as decimal(18, 2)) as held
from ahead
group by month, customer_key, currency
