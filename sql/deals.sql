-- reporting.deals
-- A row is one Salesforce deal of any stage, with what was invoiced for it. Money is in the deal's own currency. Dates are
-- days of the company. Invoices are live ones that bill the deal; their amounts are without tax unless a column says otherwise.
--
-- @key: opportunity_id
-- @required: opportunity_id, status, currency, booked, invoices, invoiced
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @values: status in won, lost, open, deleted
-- @measure: booked | amount of a won deal at its close date, without tax: total contract value, no figure of the accounts
--     | unit: the deal's currency | source: bookings as in SaaS metrics (opexengine.com)
--
-- opportunity_id: Salesforce id, 18 characters
-- deal: name of the deal
-- status: won, lost, open or deleted
-- stage: stage as the org names it
-- customer_key: the real customer: reporting.customers; null for a deal without an account
-- account_id: Salesforce account
-- account: name of the account
-- owner_id: owner of the deal
-- owner: name of the owner
-- created_on: day on which the deal was created
-- closed_on: day on which it was won or lost, or shall be
-- currency: ISO code of every amount in the row that is not in the home currency
-- amount: amount of the deal, without tax
-- booked: amount where the deal is won, else 0
-- booked_home: booked at Salesforce's own rate, in home_currency; null where Salesforce has no rate for it
-- home_currency: ISO code of the company's currency in QuickBooks
-- payment_terms: terms on the deal
-- billing_frequency: One-Time, Monthly, Quarterly or Annual, as written
-- billing_periods: how many times a recurring deal is billed, as written; its periods are in reporting.billing_schedules
-- contract_url: link to the signed contract
-- invoices: live invoices that bill it
-- invoiced: their totals, without tax
-- invoices_gone: voided and deleted invoices that billed it
-- first_invoiced_on: date of the first live invoice
-- first_sent_on: day on which the first of them was mailed
-- settled_on: day on which the last of them was paid or credited in full; null while one is open
-- paid: what was paid of them, tax included
-- open: what is open of them, tax included
-- numbers: document numbers of its live invoices, separated by a comma and a space
-- link: opens the invoice that was written on the deal
with home as (select max(home_currency) as currency from quickbooks.preferences),

zone as (select coalesce(max(time_zone), 'UTC') as name from pipeline.reporting_day),

org as (select max(default_currency) as currency from salesforce.organization),

-- Units for one of the org's own currency, in ten-billionths. Division makes floats of decimals, so amounts are divided as whole
-- numbers of cents, halves rounded up.
rates as (
    select iso_code, cast(max(conversion_rate) * 10000000000 as hugeint) as rate
    from salesforce.currency_type
    where conversion_rate > 0
    group by iso_code
),

billed as (
    select
        opportunity_id,
        count(*) filter (where status = 'live') as invoices,
        count(*) filter (where status <> 'live') as invoices_gone,
        sum(net) as invoiced,
        min(invoiced_on) filter (where status = 'live') as first_invoiced_on,
        min(sent_on) filter (where status = 'live') as first_sent_on,
        max(settled_on) filter (where status = 'live') as settled_on,
        count(*) filter (where status = 'live' and settled_on is null) as unsettled,
        sum(paid) filter (where status = 'live') as paid,
        sum(open) filter (where status = 'live') as open,
        case
            when count(*) filter (where status = 'live') > 1
                then string_agg(number, ', ' order by invoiced_on, invoice_id) filter (where status = 'live')
            else max(number) filter (where status = 'live')
        end as numbers
    from reporting.invoices
    where opportunity_id is not null
    group by opportunity_id
),

written as (
    select
        o.* exclude (record),
        coalesce(o.currency, org.currency, home.currency) as iso_code,
        home.currency as home_currency,
        cast(round(o.amount, 2) as decimal(18, 2)) as worth,
        coalesce(o.is_won, false) and not coalesce(o.is_deleted, false) as won
    from salesforce.opportunity as o
    cross join home
    cross join org
),

deals as (
    select *, case when won and worth is not null then worth else cast(0 as decimal(18, 2)) end as booked from written
)

select
    d.id as opportunity_id,
    d.name as deal,
    case
        when coalesce(d.is_deleted, false) then 'deleted'
        when d.won then 'won'
        when d.is_closed then 'lost'
        else 'open'
    end as status,
    d.stage_name as stage,
    k.customer_key,
    d.account_id,
    k.name as account,
    d.owner_id,
    u.name as owner,
    cast(timezone(zone.name, d.created_at) as date) as created_on,
    d.close_date as closed_on,
    d.iso_code as currency,
    d.worth as amount,
    d.booked,
    case
        when d.booked = 0 or d.iso_code is not distinct from d.home_currency then d.booked
        else
            cast(
                cast(
                    sign(d.booked)
                    * ((2 * cast(cast(abs(d.booked) as decimal(38, 2)) * 100 as hugeint) * h.rate + r.rate) // (2 * r.rate))
                    as decimal(38, 0)
                )
                * cast(0.01 as decimal(2, 2)) as decimal(18, 2)
            )
    end as booked_home,
    d.home_currency,
    d.payment_terms,
    d.billing_frequency,
    cast(d.billing_periods as decimal(18, 2)) as billing_periods,
    d.contract_url,
    coalesce(b.invoices, 0) as invoices,
    coalesce(b.invoiced, 0) as invoiced,
    coalesce(b.invoices_gone, 0) as invoices_gone,
    b.first_invoiced_on,
    b.first_sent_on,
    case when b.unsettled = 0 then b.settled_on end as settled_on,
    b.paid,
    b.open,
    b.numbers,
    d.invoice_url as link
from deals as d
left join billed as b on d.id = b.opportunity_id
left join salesforce.user as u on d.owner_id = u.id
left join reporting.customer_records as k on d.account_id = k.record_id
left join rates as r on d.iso_code = r.iso_code
left join rates as h on d.home_currency = h.iso_code
cross join zone
