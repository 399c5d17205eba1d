-- reporting.invoice_lines
-- A row is one line of a live invoice that bills something: an item, a discount (below zero) or shipping. A bundle shows as the
-- lines in it. Subtotals and lines of text are left out; sales tax is no line in QuickBooks. The lines of an invoice add up to
-- its total without tax. Money is in the invoice's own currency.
--
-- @key: invoice_id, line
-- @required: invoice_id, line, kind, amount, currency
-- @refers: invoice_id to invoices.invoice_id
-- @refers: product_key to products.product_key
-- @values: kind in item, discount, shipping
-- @balances: sum(amount) by invoice_id = invoices.sum(net)
--
-- invoice_id: QuickBooks' id of the invoice
-- line: place among all lines of the invoice, from 1; lines of a bundle follow as thousands of its own place
-- kind: item, discount or shipping
-- product_key: the product: reporting.products; null for a discount, shipping, or an item that QuickBooks does not have
-- product: name of the product, else of the item as the invoice has it
-- item_id: QuickBooks item
-- description: text of the line
-- quantity: quantity; null where the line has an amount alone
-- unit_price: price of one
-- amount: what the line bills, without tax
-- currency: ISO code of every amount in the row that is not in the home currency
-- amount_home: amount at the invoice's exchange rate, rounded by itself; null where a foreign invoice has no rate
-- home_currency: ISO code of the company's currency
-- service_on: day of service
-- class: QuickBooks class of the line
-- invoiced_on: date of the invoice
-- customer_key: the customer of the invoice
-- opportunity_id: the deal that the invoice bills
with parsed as (
    select
        id as invoice_id,
        from_json(
            record,
            '{"Line":[{"Amount":"VARCHAR","Description":"VARCHAR","DetailType":"VARCHAR","DiscountLineDetail":"JSON",
            "SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR","name":"VARCHAR"},"Qty":"VARCHAR","UnitPrice":"VARCHAR",
            "ServiceDate":"VARCHAR","ClassRef":{"name":"VARCHAR"}},"GroupLineDetail":"JSON"}]}'
        ).Line as written
    from quickbooks.invoice
    where status = 'live' and json_valid(record)
),

lines as (
    select invoice_id, unnest(written) as written, generate_subscripts(written, 1) as line
    from parsed
),

bundles as (
    select
        invoice_id,
        line,
        from_json(
            written.GroupLineDetail,
            '{"Line":[{"Amount":"VARCHAR","Description":"VARCHAR","DetailType":"VARCHAR","DiscountLineDetail":"JSON",
            "SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR","name":"VARCHAR"},"Qty":"VARCHAR","UnitPrice":"VARCHAR",
            "ServiceDate":"VARCHAR","ClassRef":{"name":"VARCHAR"}},"GroupLineDetail":"JSON"}]}'
        ).Line as written
    from lines
    where written.GroupLineDetail is not null
),

-- The line of a bundle itself bills nothing where QuickBooks shows the lines in it.
told as (
    select l.invoice_id, l.line, l.written
    from lines as l
    where
        coalesce(l.written.DetailType, '') not in ('SubTotalLineDetail', 'DescriptionOnly')
        and l.written.Amount is not null
        and coalesce(json_array_length(l.written.GroupLineDetail, '$.Line'), 0) = 0
    union all by name
    select invoice_id, line * 1000 + generate_subscripts(written, 1) as line, unnest(written) as written
    from bundles
),

-- The row of products that an item counts for: the one product that is sold as it, else its own.
sold as (
    select item_id, coalesce(max(product_key) filter (where product_id is null), max(product_key)) as product_key
    from reporting.products
    where item_id is not null
    group by item_id
),

named as (
    select s.item_id, s.product_key, p.product
    from sold as s
    inner join reporting.products as p on s.product_key = p.product_key
),

amounts as (
    select
        invoice_id,
        line,
        written.SalesItemLineDetail as detail,
        written.Description as description,
        coalesce(written.DiscountLineDetail is not null or written.DetailType = 'DiscountLineDetail', false) as is_discount,
        try_cast(written.Amount as decimal(18, 2)) as amount
    from told
    where written.Amount is not null
),

signed as (select * replace (case when is_discount then -amount else amount end as amount) from amounts)

-- QuickBooks takes fewer than seven places, and the wider type is slow to read: only what is too large for the other has it.
select
    a.invoice_id,
    a.line,
    case
        when a.is_discount then 'discount'
        when a.detail.ItemRef.value = 'SHIPPING_ITEM_ID' then 'shipping'
        else 'item'
    end as kind,
    n.product_key,
    coalesce(n.product, a.detail.ItemRef.name) as product,
    a.detail.ItemRef.value as item_id,
    a.description,
    coalesce(try_cast(a.detail.Qty as decimal(18, 7)), try_cast(a.detail.Qty as decimal(28, 10))) as quantity,
    coalesce(try_cast(a.detail.UnitPrice as decimal(18, 7)), try_cast(a.detail.UnitPrice as decimal(28, 10))) as unit_price,
    a.amount,
    i.currency,
    case
        when i.currency is not distinct from i.home_currency then a.amount
        else cast(round(a.amount * i.exchange_rate, 2) as decimal(18, 2))
    end as amount_home,
    i.home_currency,
    try_cast(a.detail.ServiceDate as date) as service_on,
    a.detail.ClassRef.name as class,
    i.invoiced_on,
    i.customer_key,
    i.opportunity_id
from signed as a
inner join reporting.invoices as i on a.invoice_id = i.invoice_id
left join named as n on a.detail.ItemRef.value = n.item_id
