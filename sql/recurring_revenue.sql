-- reporting.recurring_revenue
-- A row is one month of one customer's monthly recurring revenue in one currency, and how it moved since the month before; the
-- month after the last one is there too, with the churn. It is what billing schedules bill of subscriptions, each share for one
-- month (invoices.billing_schedule_lines): set-up fees are left out, and so are deals without a schedule; nothing is guessed. A
-- share counts in a month when its days cover the last day of it, or the day that counts as today in the month under way, and
-- the agreement in force on that day has it. So a change counts from the day on which it was agreed, and what ran before stays;
-- what was corrected before anything was billed was never otherwise.
-- A schedule that rests (its deal opened again, or its billing on hold) or was cancelled runs no more from that day. A period
-- that was billed keeps its share; what a change adds to it or takes from it afterwards is in none. Per row: mrr_begin + new_mrr
-- + reactivation + expansion - contraction - churn = mrr_end. Ending one of several deals is a contraction. Movements are in the
-- deals' own currency, so rates move nothing. The last five years.
--
-- @key: row_key
-- @required: row_key, month, currency, mrr_begin, new_mrr, reactivation, expansion, contraction, churn, mrr_end, arr
-- @refers: customer_key to customers.customer_key
-- @measure: mrr_end | sum of the monthly shares that run at the end of the month | unit: currency per month
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

-- A share runs on the days that it covers and on which its agreement is in force.
shares as (
    select
        l.opportunity_id,
        coalesce(d.customer_key, '-') as customer_key,
        coalesce(nullif(l.currency, ''), d.currency) as currency,
        l.monthly_amount as mrr,
        greatest(l.covers_from, coalesce(l.in_force_from, l.covers_from)) as runs_from,
        least(l.covers_to, coalesce(l.in_force_to, l.covers_to)) as runs_until
    from invoices.billing_schedule_lines as l
    inner join reporting.deals as d on l.opportunity_id = d.opportunity_id
    where l.status = 'active' and l.monthly_amount <> 0
),

running_shares as (select * from shares where runs_from <= runs_until),

begun as (select customer_key, currency, min(runs_from) as first_on from running_shares group by customer_key, currency),

spread as (
    select
        c.*,
        today.as_of,
        cast(
            unnest(
                generate_series(
                    greatest(date_trunc('month', c.runs_from), today.floor),
                    least(date_trunc('month', c.runs_until), date_trunc('month', today.as_of)),
                    interval 1 month
                )
            ) as date
        ) as month
    from running_shares as c
    cross join today
),

running as (
    select customer_key, currency, month, cast(sum(mrr) as decimal(18, 2)) as mrr, count(distinct opportunity_id) as deals
    from spread
    where least(last_day(month), as_of) between runs_from and runs_until
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
