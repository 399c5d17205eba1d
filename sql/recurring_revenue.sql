-- reporting.recurring_revenue
-- A row is one month of one customer's monthly recurring revenue in one currency, and how it moved since the month before; the
-- month after the last one is there too, with the churn. Recurring are won deals whose billing frequency, number of periods and
-- start date are filled in; for others nothing is guessed. A deal counts in a month when it runs on its last day, or on the day
-- that counts as today in the month under way. Per row: mrr_begin + new_mrr + reactivation + expansion - contraction - churn =
-- mrr_end. Ending one of several deals is a contraction. Movements are in the deals' own currency, so rates move nothing. The
-- last five years.
--
-- @key: row_key
-- @required: row_key, month, currency, mrr_begin, new_mrr, reactivation, expansion, contraction, churn, mrr_end, arr
-- @refers: customer_key to customers.customer_key
-- @measure: mrr_end | sum of mrr of the deals that run at the end of the month | unit: currency per month
--     | source: ChartMogul, monthly recurring revenue
-- @measure: arr | 12 x mrr_end | unit: currency per year | source: ChartMogul, annual run rate
-- @measure: new_mrr | mrr of a customer that never had any | unit: currency per month | source: ChartMogul, MRR movements
-- @measure: reactivation | mrr of a customer that had some before, but none in the month before | unit: currency per month
--     | source: ChartMogul, MRR movements
-- @measure: expansion | rise of a customer's mrr from above nothing | unit: currency per month
--     | source: ChartMogul, MRR movements
-- @measure: contraction | fall of a customer's mrr to above nothing | unit: currency per month
--     | source: ChartMogul, MRR movements
-- @measure: churn | mrr of a customer that has none any more | unit: currency per month | source: ChartMogul, MRR movements
--
-- row_key: month, customer and currency as one text
-- month: first day of the month
-- complete: whether the month is over
-- customer_key: the real customer: reporting.customers; null for deals without an account
-- customer: its name
-- segment: its segment
-- currency: ISO code of every amount in the row
-- deals: deals that run
-- mrr_begin: monthly recurring revenue at the end of the month before
-- new_mrr: first of a customer
-- reactivation: of a customer that had some before, and none in the month before
-- expansion: more than before
-- contraction: less than before
-- churn: nothing any more
-- mrr_end: monthly recurring revenue at the end of the month
-- arr: twelve times mrr_end
with today as (
    select max(as_of) as as_of, cast(max(date_trunc('month', as_of) - interval 60 month) as date) as floor
    from pipeline.reporting_day
),

contracts as (
    select coalesce(customer_key, '-') as customer_key, currency, mrr, recurring_from, recurring_until
    from reporting.deals
    where mrr <> 0
),

begun as (select customer_key, currency, min(recurring_from) as first_on from contracts group by customer_key, currency),

spread as (
    select
        c.*,
        today.as_of,
        cast(
            unnest(
                generate_series(
                    greatest(date_trunc('month', c.recurring_from), today.floor),
                    least(date_trunc('month', c.recurring_until), date_trunc('month', today.as_of)),
                    interval 1 month
                )
            ) as date
        ) as month
    from contracts as c
    cross join today
),

running as (
    select customer_key, currency, month, sum(mrr) as mrr, count(*) as deals
    from spread
    where least(last_day(month), as_of) between recurring_from and recurring_until
    group by customer_key, currency, month
),

months as (
    select customer_key, currency, month from running
    union
    select r.customer_key, r.currency, cast(r.month + interval 1 month as date) as month
    from running as r
    cross join today
    where r.month < date_trunc('month', today.as_of)
),

compared as (
    select
        m.customer_key,
        m.currency,
        m.month,
        coalesce(n.deals, 0) as deals,
        coalesce(b.mrr, 0) as mrr_begin,
        coalesce(n.mrr, 0) as mrr_end
    from months as m
    left join running as n on m.customer_key = n.customer_key and m.currency = n.currency and m.month = n.month
    left join running as b
        on m.customer_key = b.customer_key and m.currency = b.currency and m.month = cast(b.month + interval 1 month as date)
)

select
    concat_ws(' ', strftime(m.month, '%Y-%m'), m.customer_key, m.currency) as row_key,
    m.month,
    last_day(m.month) <= today.as_of as complete,
    nullif(m.customer_key, '-') as customer_key,
    c.name as customer,
    c.segment,
    m.currency,
    m.deals,
    m.mrr_begin,
    case when m.mrr_begin = 0 and b.first_on >= m.month then m.mrr_end else 0 end as new_mrr,
    case when m.mrr_begin = 0 and b.first_on < m.month then m.mrr_end else 0 end as reactivation,
    case when m.mrr_begin <> 0 and m.mrr_end <> 0 then greatest(m.mrr_end - m.mrr_begin, 0) else 0 end as expansion,
    case when m.mrr_begin <> 0 and m.mrr_end <> 0 then greatest(m.mrr_begin - m.mrr_end, 0) else 0 end as contraction,
    case when m.mrr_begin <> 0 and m.mrr_end = 0 then m.mrr_begin else 0 end as churn,
    m.mrr_end,
    12 * m.mrr_end as arr
from compared as m
inner join begun as b on m.customer_key = b.customer_key and m.currency = b.currency
left join reporting.customers as c on m.customer_key = c.customer_key
cross join today
where m.month > today.floor
