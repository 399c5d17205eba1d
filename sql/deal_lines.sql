-- reporting.deal_lines
-- A row is one product line of a Salesforce deal of any stage; deleted lines are left out. Money is in the deal's own currency,
-- without tax. Deals without lines have none here: their amount stands on the deal alone.
--
-- @key: line_id
-- @required: line_id, opportunity_id, currency
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: product_key to products.product_key
--
-- line_id: Salesforce id of the line, 18 characters
-- opportunity_id: the deal
-- position: place of the line on the deal, where the seller sorted them
-- product_key: the product: reporting.products; null for a line without one
-- product: name of the product, else of the line
-- code: code of the product when it was sold
-- family: product family
-- description: what the seller wrote on the line
-- quantity: quantity; may be fractional or negative
-- unit_price: price of one
-- list_price: price of one in the price book
-- discount_percent: discount in percent
-- total: total of the line after discount
-- currency: ISO code of every amount in the row
-- service_on: day of service, where the seller gave one
-- closed_on: close date of the deal
-- deal_status: won, lost, open or deleted
select
    l.id as line_id,
    l.opportunity_id,
    l.sort_order as position,
    p.product_key,
    coalesce(p.product, l.name) as product,
    coalesce(l.product_code, p.code) as code,
    p.family,
    l.description,
    l.quantity,
    l.unit_price,
    l.list_price,
    l.discount as discount_percent,
    cast(round(l.total_price, 2) as decimal(18, 2)) as total,
    d.currency,
    l.service_date as service_on,
    d.closed_on,
    d.status as deal_status
from salesforce.opportunity_line_item as l
inner join reporting.deals as d on l.opportunity_id = d.opportunity_id
left join reporting.products as p on l.product_id = p.product_key
where not coalesce(l.is_deleted, false)
