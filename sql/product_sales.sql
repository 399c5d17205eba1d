-- reporting.product_sales
-- A row is what was booked and invoiced of one product in one month, in one currency, without tax. Deals without lines stand
-- under no product; so do discounts, shipping and lines without an item. Credit memos are not taken off: they are in
-- reporting.bookings_and_billings. Amounts of several currencies are never added.
--
-- @key: row_key
-- @required: row_key, month, currency, booked, invoiced
-- @refers: product_key to products.product_key
-- @balances: sum(booked) by currency = deals.sum(booked)
-- @balances: sum(invoiced) by currency = invoices.sum(net)
-- @measure: booked | totals of the lines of deals won, by close date | unit: currency of the row
--     | source: bookings as in SaaS metrics (opexengine.com)
-- @measure: invoiced | lines of live invoices, by invoice date | unit: currency of the row
--     | source: QuickBooks' Sales by Product/Service report, without sales receipts and credit memos
--
-- row_key: month, product and currency as one text
-- month: first day of the month: of the deal's close date for bookings, of the invoice's date for what was invoiced
-- product_key: the product: reporting.products; null for what has no product
-- product: its name
-- family: product family
-- currency: ISO code of every amount in the row
-- deals: won deals with the product
-- booked_quantity: quantity on their lines
-- booked: totals of their lines; with no product also what the amounts of deals and their lines differ by
-- invoices: live invoices with the product
-- invoiced_quantity: quantity on their lines
-- invoiced: amounts of their lines; with no product also what the lines of an invoice do not explain of its total
with sold as (
    select opportunity_id, closed_on, product_key, currency, quantity, total as amount
    from reporting.deal_lines
    where deal_status = 'won'
),

of_lines as (select opportunity_id, sum(amount) as amount from sold group by opportunity_id),

billed as (select invoice_id, sum(amount) as amount from reporting.invoice_lines group by invoice_id),

movements as (
    select
        closed_on as moved_on,
        product_key,
        currency,
        opportunity_id,
        cast(null as varchar) as invoice_id,
        quantity,
        amount as booked,
        0 as invoiced
    from sold
    union all by name
    select
        d.closed_on as moved_on,
        cast(null as varchar) as product_key,
        d.currency,
        d.opportunity_id,
        cast(null as varchar) as invoice_id,
        cast(null as decimal(28, 10)) as quantity,
        d.booked - coalesce(l.amount, 0) as booked,
        0 as invoiced
    from reporting.deals as d
    left join of_lines as l on d.opportunity_id = l.opportunity_id
    where d.status = 'won' and d.booked <> coalesce(l.amount, 0)
    union all by name
    select
        invoiced_on as moved_on,
        product_key,
        currency,
        cast(null as varchar) as opportunity_id,
        invoice_id,
        quantity,
        0 as booked,
        amount as invoiced
    from reporting.invoice_lines
    union all by name
    select
        i.invoiced_on as moved_on,
        cast(null as varchar) as product_key,
        i.currency,
        cast(null as varchar) as opportunity_id,
        i.invoice_id,
        cast(null as decimal(28, 10)) as quantity,
        0 as booked,
        i.net - coalesce(b.amount, 0) as invoiced
    from reporting.invoices as i
    left join billed as b on i.invoice_id = b.invoice_id
    where i.status = 'live' and i.net <> coalesce(b.amount, 0)
),

summed as (
    select
        cast(date_trunc('month', moved_on) as date) as month,
        product_key,
        currency,
        count(distinct opportunity_id) as deals,
        sum(quantity) filter (where opportunity_id is not null) as booked_quantity,
        sum(booked) as booked,
        count(distinct invoice_id) as invoices,
        sum(quantity) filter (where invoice_id is not null) as invoiced_quantity,
        sum(invoiced) as invoiced
    from movements
    where moved_on is not null
    group by 1, 2, 3
)

select
    concat_ws(' ', strftime(s.month, '%Y-%m'), coalesce(s.product_key, '-'), s.currency) as row_key,
    s.month,
    s.product_key,
    p.product,
    p.family,
    s.currency,
    s.deals,
    s.booked_quantity,
    s.booked,
    s.invoices,
    s.invoiced_quantity,
    s.invoiced
from summed as s
left join reporting.products as p on s.product_key = p.product_key
order by s.month desc, p.product, s.product_key, s.currency
