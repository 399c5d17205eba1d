-- reporting.dates
-- A row is one day, from the first of January before the earliest deal or document (twenty years back at most) to the last of
-- December two years ahead. Fiscal years begin with the month that QuickBooks names, and are named after the year they end in.
--
-- @key: date
-- @required: date, year, quarter, month, weekday, is_business_day, fiscal_year, fiscal_quarter, fiscal_month
--
-- date: the day
-- year: calendar year
-- quarter: first day of the calendar quarter
-- quarter_of_year: 1 to 4
-- month: first day of the month, as in the other tables
-- month_of_year: 1 to 12
-- month_name: name of the month
-- month_end: last day of the month
-- week: Monday of the week
-- weekday: 1 Monday to 7 Sunday
-- weekday_name: name of the day
-- is_business_day: Monday to Friday; holidays are not known to either system
-- business_day_of_month: how many business days of the month there are up to the day; 1 is the first one
-- fiscal_year: year in which the fiscal year ends
-- fiscal_quarter: 1 to 4
-- fiscal_month: 1 to 12
-- is_past: whether the day is before the day that counts as today
with today as (select max(as_of) as as_of from pipeline.reporting_day),

earliest as (
    select min(day) as day
    from (
        select min(close_date) as day from salesforce.opportunity
        union all
        select min(txn_date) as day from quickbooks.invoice
        union all
        select min(txn_date) as day from quickbooks.payment
        union all
        select min(txn_date) as day from quickbooks.credit_memo
    ) as firsts
),

-- QuickBooks writes the name of the month, in the company's record and in its preferences.
fiscal as (
    select
        coalesce(
            list_position(['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'], begins), 1
        ) as first_month
    from (
        select
            coalesce(
                (select max(lower(left(record ->> '$.FiscalYearStartMonth', 3))) from quickbooks.company_info),
                (
                    select max(lower(left(record ->> '$.AccountingInfoPrefs.FirstMonthOfFiscalYear', 3)))
                    from quickbooks.preferences
                )
            ) as begins
    ) as said
),

days as (
    select
        cast(
            unnest(
                generate_series(
                    date_trunc(
                        'year', greatest(least(coalesce(earliest.day, today.as_of), today.as_of), today.as_of - interval 20 year)
                    ),
                    date_trunc('year', today.as_of) + interval 3 year - interval 1 day,
                    interval 1 day
                )
            ) as date
        ) as date
    from today
    cross join earliest
    where today.as_of is not null
)

select
    d.date,
    year(d.date) as year,
    cast(date_trunc('quarter', d.date) as date) as quarter,
    quarter(d.date) as quarter_of_year,
    cast(date_trunc('month', d.date) as date) as month,
    month(d.date) as month_of_year,
    monthname(d.date) as month_name,
    last_day(d.date) as month_end,
    cast(date_trunc('week', d.date) as date) as week,
    isodow(d.date) as weekday,
    dayname(d.date) as weekday_name,
    isodow(d.date) <= 5 as is_business_day,
    count(*) filter (where isodow(d.date) <= 5) over (partition by date_trunc('month', d.date) order by d.date)
        as business_day_of_month,
    year(d.date) + case when f.first_month > 1 and month(d.date) >= f.first_month then 1 else 0 end as fiscal_year,
    ((month(d.date) - f.first_month + 12) % 12) // 3 + 1 as fiscal_quarter,
    (month(d.date) - f.first_month + 12) % 12 + 1 as fiscal_month,
    d.date < today.as_of as is_past
from days as d
cross join fiscal as f
cross join today
order by d.date
