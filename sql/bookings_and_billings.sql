-- reporting.bookings_and_billings
-- A row is what one customer booked, was billed and paid in one month under one owner, in one currency. Sum it over anything but
-- currencies; amounts in the home currency add up over all. Bookings count in the month of the deal's close date, billings in
-- the month of the document, cash in the month of the money; the month under way and later ones hold what is dated in them.
-- Bookings and billings are without sales tax, cash is what was received, tax included. The owner is the owner of the deal: of a
-- credit memo, where all that it settles is one owner's; money that is applied to nothing has no owner. Products have a table
-- of their own, reporting.product_sales. Sales receipts are not read from QuickBooks: they are in none of the figures.
--
-- @key: row_key
-- @required: row_key, month, currency, booked, invoiced, credited, billed, received, refunded, cash
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @balances: sum(booked) by currency = deals.sum(booked)
-- @balances: sum(invoiced) by currency = invoices.sum(net)
-- @measure: booked | sum of the amounts of deals won, by close date | unit: currency of the row
--     | source: bookings as in SaaS metrics (opexengine.com)
-- @measure: billed | invoices without tax - credit memos and refund receipts without tax, by document date
--     | unit: currency of the row | source: billings as in calculated-billings practice: documents, not revenue
-- @measure: cash | payments, deposits and bank journal lines of customers - refund receipts, by date of the money
--     | unit: currency of the row | source: cash received as QuickBooks' Transaction List by Customer shows it
--
-- row_key: month, customer, owner and currency as one text
-- month: first day of the month
-- customer_key: the real customer: reporting.customers; null for a deal without an account
-- customer: name of the customer
-- segment: segment of the customer
-- owner_id: owner of the deals; null for what belongs to no deal
-- owner: name of the owner
-- currency: ISO code of every amount in the row that is not in the home currency
-- deals: deals won
-- booked: their amounts
-- invoices: live invoices
-- invoiced: their totals, without tax
-- credited: credit memos and refund receipts, without tax
-- billed: invoiced less credited
-- received: payments, deposits and journal entries against a bank account
-- refunded: refund receipts, tax included
-- cash: received less refunded
-- booked_home: booked in home_currency; null where a deal has no rate
-- billed_home: billed in home_currency, each document at its own rate; null where one has no rate
-- cash_home: cash in home_currency, each document at its own rate; null where one has no rate
-- home_currency: ISO code of the company's currency
with home as (select max(home_currency) as currency from quickbooks.preferences),

-- The one owner of all that a credit memo settles.
settled_by as (
    select source_id, max(owner_id) as owner_id
    from reporting.payments
    where kind = 'credit_memo'
    group by source_id
    having count(*) = count(owner_id) and count(distinct owner_id) = 1
),

-- What of a payment went to invoices; the rest is money without a deal.
applied as (
    select source_id, sum(amount) as amount, sum(amount_home) as amount_home, count(*) - count(amount_home) as unrated
    from reporting.payments
    where kind = 'payment' and effect = 'paid'
    group by source_id
),

documents as (
    select
        'credited' as what,
        c.txn_date,
        c.customer_id,
        s.owner_id,
        coalesce(c.currency, home.currency) as currency,
        c.total - coalesce(try_cast(c.record ->> '$.TxnTaxDetail.TotalTax' as decimal(18, 2)), 0) as amount,
        try_cast(c.record ->> '$.ExchangeRate' as decimal(28, 10)) as exchange_rate
    from quickbooks.credit_memo as c
    left join settled_by as s on c.id = s.source_id
    cross join home
    where not coalesce(c.is_deleted, false)
    union all by name
    select
        'credited' as what,
        r.txn_date,
        r.customer_id,
        cast(null as varchar) as owner_id,
        coalesce(r.currency, home.currency) as currency,
        r.total - coalesce(try_cast(r.record ->> '$.TxnTaxDetail.TotalTax' as decimal(18, 2)), 0) as amount,
        r.exchange_rate
    from quickbooks.refund_receipt as r
    cross join home
    where not coalesce(r.is_deleted, false)
    union all by name
    select
        'refunded' as what,
        r.txn_date,
        r.customer_id,
        cast(null as varchar) as owner_id,
        coalesce(r.currency, home.currency) as currency,
        r.total as amount,
        r.exchange_rate
    from quickbooks.refund_receipt as r
    cross join home
    where not coalesce(r.is_deleted, false)
    union all by name
    select
        'received' as what,
        u.txn_date,
        u.customer_id,
        cast(null as varchar) as owner_id,
        coalesce(u.currency, home.currency) as currency,
        u.amount,
        d.exchange_rate
    from receivables.unapplied as u
    left join quickbooks.deposit as d on u.source_id = d.id
    cross join home
    where u.kind = 'deposit'
),

movements as (
    select
        'booked' as what,
        closed_on as moved_on,
        customer_key,
        owner_id,
        currency,
        booked as amount,
        booked_home as amount_home
    from reporting.deals
    where status = 'won'
    union all by name
    select
        'invoiced' as what,
        invoiced_on as moved_on,
        customer_key,
        owner_id,
        currency,
        net as amount,
        net_home as amount_home
    from reporting.invoices
    where status = 'live'
    union all by name
    select
        'received' as what,
        paid_on as moved_on,
        customer_key,
        owner_id,
        currency,
        amount,
        amount_home
    from reporting.payments
    where effect = 'paid'
    union all by name
    select
        'received' as what,
        p.txn_date as moved_on,
        k.customer_key,
        cast(null as varchar) as owner_id,
        coalesce(p.currency, home.currency) as currency,
        p.total - coalesce(a.amount, 0) as amount,
        case
            when coalesce(p.currency, home.currency) is not distinct from home.currency then p.total - coalesce(a.amount, 0)
            when coalesce(a.unrated, 0) = 0 then round(p.total * p.exchange_rate, 2) - coalesce(a.amount_home, 0)
        end as amount_home
    from quickbooks.payment as p
    left join applied as a on p.id = a.source_id
    left join reporting.customer_records as k on p.customer_id = k.record_id
    cross join home
    where not coalesce(p.is_deleted, false) and p.total <> coalesce(a.amount, 0)
    union all by name
    select
        d.what,
        d.txn_date as moved_on,
        k.customer_key,
        d.owner_id,
        d.currency,
        d.amount,
        case when d.currency is not distinct from home.currency then d.amount else round(d.amount * d.exchange_rate, 2) end
            as amount_home
    from documents as d
    left join reporting.customer_records as k on d.customer_id = k.record_id
    cross join home
),

summed as (
    select
        cast(date_trunc('month', moved_on) as date) as month,
        customer_key,
        owner_id,
        currency,
        count(*) filter (where what = 'booked') as deals,
        coalesce(sum(amount) filter (where what = 'booked'), 0) as booked,
        count(*) filter (where what = 'invoiced') as invoices,
        coalesce(sum(amount) filter (where what = 'invoiced'), 0) as invoiced,
        coalesce(sum(amount) filter (where what = 'credited'), 0) as credited,
        coalesce(sum(amount) filter (where what = 'received'), 0) as received,
        coalesce(sum(amount) filter (where what = 'refunded'), 0) as refunded,
        case
            when count(*) filter (where what = 'booked' and amount_home is null) = 0
                then coalesce(sum(amount_home) filter (where what = 'booked'), 0)
        end as booked_home,
        case
            when count(*) filter (where what in ('invoiced', 'credited') and amount_home is null) = 0
                then
                    coalesce(sum(amount_home) filter (where what = 'invoiced'), 0)
                    - coalesce(sum(amount_home) filter (where what = 'credited'), 0)
        end as billed_home,
        case
            when count(*) filter (where what in ('received', 'refunded') and amount_home is null) = 0
                then
                    coalesce(sum(amount_home) filter (where what = 'received'), 0)
                    - coalesce(sum(amount_home) filter (where what = 'refunded'), 0)
        end as cash_home
    from movements
    where moved_on is not null
    group by 1, 2, 3, 4
)

select
    concat_ws(' ', strftime(s.month, '%Y-%m'), coalesce(s.customer_key, '-'), coalesce(s.owner_id, '-'), s.currency) as row_key,
    s.month,
    s.customer_key,
    c.name as customer,
    c.segment,
    s.owner_id,
    u.owner,
    s.currency,
    s.deals,
    s.booked,
    s.invoices,
    s.invoiced,
    s.credited,
    s.invoiced - s.credited as billed,
    s.received,
    s.refunded,
    s.received - s.refunded as cash,
    s.booked_home,
    s.billed_home,
    s.cash_home,
    home.currency as home_currency
from summed as s
left join reporting.customers as c on s.customer_key = c.customer_key
left join reporting.owners as u on s.owner_id = u.owner_id
cross join home
