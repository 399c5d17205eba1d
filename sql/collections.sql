-- reporting.collections
-- A row is one month of one currency, for everybody (scope all) or for the deals of one owner (scope owner; no name: invoices
-- without a deal or owner). The last five years; the month under way ends on as_of. For each row, to the cent:
-- ar_begin + invoiced - credited - written_off - collected = ar_end. Everything includes sales tax, receivables and sales alike.
-- Receivables are open invoices; payments and credits that are not applied belong to no deal and stand in reporting.ar_aging.
-- An application counts from the newest of the dates of its money and its invoice. The owner of a deal is the owner of now.
-- DSO (days sales outstanding), CEI (collection effectiveness index) and best possible DSO as in the Credit Research
-- Foundation's formulas. Amounts are in currency and never added over currencies; measures are null where they cannot be told.
--
-- @key: row_key
-- @required: row_key, month, scope, currency, ar_begin, invoiced, credited, written_off, collected, ar_end, sales
-- @refers: owner_id to owners.owner_id
-- @values: scope in all, owner
-- @measure: dso_simple | ar_end / sales of three months x their days | unit: days | source: Credit Research Foundation
-- @measure: dso_best_possible | ar_not_past_due / sales of three months x their days | unit: days
--     | source: Credit Research Foundation
-- @measure: days_delinquent | dso_simple - dso_best_possible | unit: days | source: Credit Research Foundation
-- @measure: dso_countback | days of sales that ar_end is worth, month by month backwards | unit: days
--     | source: countback method, as in the Credit Research Foundation's guides
-- @measure: cei_percent | (ar_begin + sales - ar_end) / (ar_begin + sales - ar_not_past_due) x 100 | unit: percent
--     | source: Credit Research Foundation, collection effectiveness index
-- @measure: avg_days_to_pay | sum(collected x (applied_on - invoice date)) / sum(collected) | unit: days
--     | source: average days to pay, weighted by money
-- @measure: avg_days_late | sum(collected x (applied_on - due date)) / sum(collected) | unit: days
--     | source: average days delinquent, weighted by money
--
-- row_key: month, scope, owner and currency as one text
-- month: first day of the month
-- scope: all, or owner
-- owner_id: Salesforce user, in scope owner
-- owner: name of that user
-- currency: ISO code of every amount in the row
-- month_end: last day of the month, or as_of for the month under way
-- complete: whether the month is over
-- ar_begin: open on invoices at the end of the month before
-- invoiced: totals of the invoices dated in the month
-- credited: credit memos, and journal entries that brought no money, applied in the month; without write-offs
-- written_off: written off in the month
-- collected: payments, deposits and journal entries against a bank account, applied in the month
-- ar_end: open on invoices at month_end
-- ar_not_past_due: the part of ar_end on invoices that are not past due at month_end
-- sales: credit sales of the month: invoiced minus credited
-- dso_simple: ar_end divided by the sales of three months up to month_end, times their days (fewer months where there are fewer)
-- dso_best_possible: the same with ar_not_past_due: what it would be if everybody paid on time
-- days_delinquent: dso_simple minus dso_best_possible: days that come from paying late
-- dso_countback: days of sales that ar_end is worth, month by month backwards; the better one where sales are uneven
-- cei_percent: (ar_begin + sales - ar_end) / (ar_begin + sales - ar_not_past_due) x 100; 100 is everything that was due
-- avg_days_to_pay: days from invoice to payment of what was collected, weighted by amount
-- avg_days_late: days from due date to payment of what was collected, weighted by amount; below zero is early
with today as (
    select max(as_of) as as_of, max(date_trunc('month', as_of) - interval 60 month) as floor from pipeline.reporting_day
),

owed as (
    select
        i.invoice_id,
        i.currency,
        i.txn_date,
        coalesce(i.due_date, i.txn_date) as due_date,
        i.open + coalesce(a.amount, 0) as total,
        coalesce(o.owner_id, '') as owner_id
    from receivables.invoices as i
    left join (select invoice_id, sum(amount) as amount from receivables.applications group by invoice_id) as a
        on i.invoice_id = a.invoice_id
    left join salesforce.opportunity as o on i.opportunity_id = o.id
    cross join today
    where i.txn_date <= today.as_of
),

applied as (
    select
        i.invoice_id,
        i.currency,
        i.owner_id,
        i.txn_date,
        i.due_date,
        coalesce(a.applied_on, i.txn_date) as applied_on,
        a.amount,
        a.effect
    from receivables.applications as a
    inner join owed as i on a.invoice_id = i.invoice_id
    cross join today
    where coalesce(a.applied_on, i.txn_date) <= today.as_of
),

movements as (
    select currency, owner_id, txn_date as moved_on, 'invoiced' as effect, total as amount, 0 as pay_days, 0 as late_days from owed
    union all by name
    select
        currency,
        owner_id,
        applied_on as moved_on,
        effect,
        amount,
        amount * (applied_on - txn_date) as pay_days,
        amount * (applied_on - due_date) as late_days
    from applied
),

-- What moved before the first of the five years counts in the month before them, which is not shown.
moved as (
    select
        case when grouping(m.owner_id) = 1 then 'all' else 'owner' end as scope,
        coalesce(m.owner_id, '') as owner_id,
        m.currency,
        greatest(date_trunc('month', m.moved_on), today.floor) as month,
        coalesce(sum(m.amount) filter (where m.effect = 'invoiced'), 0) as invoiced,
        coalesce(sum(m.amount) filter (where m.effect = 'credited'), 0) as credited,
        coalesce(sum(m.amount) filter (where m.effect = 'written_off'), 0) as written_off,
        coalesce(sum(m.amount) filter (where m.effect = 'paid'), 0) as collected,
        sum(m.pay_days) filter (where m.effect = 'paid') as pay_days,
        sum(m.late_days) filter (where m.effect = 'paid') as late_days
    from movements as m
    cross join today
    group by grouping sets (
        (m.currency, greatest(date_trunc('month', m.moved_on), today.floor)),
        (m.currency, greatest(date_trunc('month', m.moved_on), today.floor), m.owner_id)
    )
),

first_months as (select scope, owner_id, currency, min(month) as month from moved group by scope, owner_id, currency),

months as (
    select
        f.scope,
        f.owner_id,
        f.currency,
        unnest(generate_series(f.month, date_trunc('month', today.as_of), interval 1 month)) as month
    from first_months as f
    cross join today
),

monthly as (
    select
        m.scope,
        m.owner_id,
        m.currency,
        cast(m.month as date) as month,
        least(last_day(m.month), today.as_of) as month_end,
        last_day(m.month) <= today.as_of as complete,
        least(last_day(m.month), today.as_of) - cast(m.month as date) + 1 as days,
        coalesce(v.invoiced, 0) as invoiced,
        coalesce(v.credited, 0) as credited,
        coalesce(v.written_off, 0) as written_off,
        coalesce(v.collected, 0) as collected,
        coalesce(v.invoiced, 0) - coalesce(v.credited, 0) as sales,
        v.pay_days,
        v.late_days,
        sum(coalesce(v.invoiced - v.credited - v.written_off - v.collected, 0)) over (
            partition by m.scope, m.owner_id, m.currency order by m.month
        ) as ar_end
    from months as m
    left join moved as v
        on m.scope = v.scope and m.owner_id = v.owner_id and m.currency is not distinct from v.currency and m.month = v.month
    cross join today
),

-- Each invoice on the ends of the months up to its due date, and what was open of it then.
not_yet_due as (
    select e.invoice_id, e.currency, e.owner_id, e.month, e.total - coalesce(sum(a.amount), 0) as open
    from (
        select
            i.invoice_id,
            i.currency,
            i.owner_id,
            i.total,
            i.due_date,
            today.as_of,
            cast(
                unnest(
                    generate_series(
                        greatest(date_trunc('month', i.txn_date), today.floor),
                        date_trunc('month', least(i.due_date, today.as_of)),
                        interval 1 month
                    )
                ) as date
            ) as month
        from owed as i
        cross join today
    ) as e
    left join applied as a on e.invoice_id = a.invoice_id and a.applied_on <= least(last_day(e.month), e.as_of)
    where least(last_day(e.month), e.as_of) <= e.due_date
    group by e.invoice_id, e.currency, e.owner_id, e.month, e.total
),

current_at as (
    select
        case when grouping(owner_id) = 1 then 'all' else 'owner' end as scope,
        coalesce(owner_id, '') as owner_id,
        currency,
        month,
        sum(open) as open
    from not_yet_due
    group by grouping sets ((currency, month), (currency, month, owner_id))
),

going_back as (
    select
        t.scope,
        t.owner_id,
        t.currency,
        t.month,
        t.ar_end,
        s.days,
        greatest(s.sales, 0) as sales,
        sum(greatest(s.sales, 0)) over (
            partition by t.scope, t.owner_id, t.currency, t.month order by s.month desc
        ) as sales_since
    from monthly as t
    inner join monthly as s
        on
            t.scope = s.scope
            and t.owner_id = s.owner_id
            and t.currency is not distinct from s.currency
            and t.month >= s.month
),

countback as (
    select
        scope,
        owner_id,
        currency,
        month,
        sum(
            case
                when sales_since - sales >= ar_end then 0
                when sales_since <= ar_end then days
                else (ar_end - (sales_since - sales)) / sales * days
            end
        ) as days
    from going_back
    group by scope, owner_id, currency, month
    having max(sales_since) >= max(ar_end)
),

measured as (
    select
        m.*,
        coalesce(n.open, 0) as ar_not_past_due,
        m.ar_end - (m.sales - m.written_off - m.collected) as ar_begin,
        b.days as countback_days,
        sum(m.sales) over last_three as sales_3,
        sum(m.days) over last_three as days_3
    from monthly as m
    left join current_at as n
        on m.scope = n.scope and m.owner_id = n.owner_id and m.currency is not distinct from n.currency and m.month = n.month
    left join countback as b
        on m.scope = b.scope and m.owner_id = b.owner_id and m.currency is not distinct from b.currency and m.month = b.month
    window last_three as (
        partition by m.scope, m.owner_id, m.currency order by m.month rows between 2 preceding and current row
    )
)

select
    concat_ws(' ', strftime(m.month, '%Y-%m'), m.scope, nullif(m.owner_id, ''), m.currency) as row_key,
    m.month,
    m.scope,
    nullif(m.owner_id, '') as owner_id,
    u.name as owner,
    m.currency,
    m.month_end,
    m.complete,
    m.ar_begin,
    m.invoiced,
    m.credited,
    m.written_off,
    m.collected,
    m.ar_end,
    m.ar_not_past_due,
    m.sales,
    case when m.sales_3 > 0 then try_cast(round(m.ar_end / m.sales_3 * m.days_3, 1) as decimal(18, 1)) end as dso_simple,
    case when m.sales_3 > 0 then try_cast(round(m.ar_not_past_due / m.sales_3 * m.days_3, 1) as decimal(18, 1)) end
        as dso_best_possible,
    case
        when m.sales_3 > 0 then try_cast(round((m.ar_end - m.ar_not_past_due) / m.sales_3 * m.days_3, 1) as decimal(18, 1))
    end as days_delinquent,
    try_cast(round(m.countback_days, 1) as decimal(18, 1)) as dso_countback,
    case
        when m.ar_begin + m.sales - m.ar_not_past_due > 0
            then
                try_cast(
                    round((m.ar_begin + m.sales - m.ar_end) / (m.ar_begin + m.sales - m.ar_not_past_due) * 100, 1)
                    as decimal(18, 1)
                )
    end as cei_percent,
    try_cast(round(m.pay_days / nullif(m.collected, 0), 1) as decimal(18, 1)) as avg_days_to_pay,
    try_cast(round(m.late_days / nullif(m.collected, 0), 1) as decimal(18, 1)) as avg_days_late
from measured as m
left join salesforce.user as u on m.owner_id = u.id
cross join today
where m.month > today.floor
order by m.month desc, m.scope, m.currency, u.name, m.owner_id
