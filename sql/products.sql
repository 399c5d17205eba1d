-- reporting.products
-- A row is one product: a Salesforce product with the QuickBooks item that it is sold as, a product without an item, or an item
-- of its own. The item is the one that the rules or the product name, else the one whose SKU is the product's code or SKU, else
-- the one of that name. An item that several products are sold as has a row of its own beside them.
--
-- @key: product_key
-- @required: product_key, presence, deleted
-- @values: presence in both, salesforce_only, quickbooks_only
--
-- product_key: the product's id, or item- and the item's id
-- product: name of the product, else of the item
-- product_id: Salesforce product, 18 characters
-- item_id: QuickBooks item
-- item: name of the item, with its category
-- code: code of the product
-- sku: stock keeping unit of the item, else of the product
-- family: product family in Salesforce
-- type: type of the item: Service, NonInventory, Inventory or Group (a bundle)
-- income_account: account that its sales are booked to
-- presence: both, salesforce_only or quickbooks_only
-- active: whether it may be sold, in each system that has it
-- deleted: whether it was deleted in the system that gives the row its key
with items as (
    select
        i.id,
        i.name,
        coalesce(i.fully_qualified_name, i.name) as full_name,
        i.sku,
        i.type,
        i.income_account_id,
        coalesce(i.active, true) as active,
        coalesce(i.is_deleted, false) as is_deleted
    from quickbooks.item as i
    where lower(coalesce(i.type, '')) <> 'category'
),

called as (
    select id, 'sku' as said, lower(trim(sku)) as word, active from items where trim(sku) <> ''
    union
    select id, 'name' as said, lower(trim(name)) as word, active from items where trim(name) <> ''
    union
    select id, 'name' as said, lower(trim(full_name)) as word, active from items where trim(full_name) <> ''
),

-- What the rules name, else what the product names, counts alone.
by_rule as (
    select p.id, lower(trim(n.item)) as word
    from salesforce.product2 as p
    inner join pipeline.named_items as n on lower(trim(n.product)) in (lower(trim(p.product_code)), lower(trim(p.name)))
),

named as (
    select id, word from by_rule
    union
    select id, lower(trim(item_name)) as word
    from salesforce.product2
    where trim(item_name) <> '' and id not in (select id from by_rule)
),

unnamed as (select * from salesforce.product2 where id not in (select id from named)),

wanted as (
    select id, 1 as rank, 'name' as said, word from named
    union all
    select id, 2 as rank, 'sku' as said, lower(trim(product_code)) as word from unnamed
    union all
    select id, 3 as rank, 'sku' as said, lower(trim(sku)) as word from unnamed
    union all
    select id, 4 as rank, 'name' as said, lower(trim(product_code)) as word from unnamed
    union all
    select id, 5 as rank, 'name' as said, lower(trim(name)) as word from unnamed
),

-- An inactive item counts where there is no active one: it was sold as that.
found as (
    select w.id as product_id, w.rank + case when c.active then 0 else 10 end as rank, min(c.id) as item_id
    from wanted as w
    inner join called as c on w.said = c.said and w.word = c.word
    group by 1, 2
    having count(distinct c.id) = 1
),

sold_as as (select product_id, arg_min(item_id, rank) as item_id from found group by product_id),

alone as (select item_id from sold_as group by item_id having count(*) = 1)

select
    p.id as product_key,
    p.name as product,
    p.id as product_id,
    i.id as item_id,
    i.full_name as item,
    p.product_code as code,
    coalesce(i.sku, p.sku) as sku,
    p.family,
    i.type,
    a.fully_qualified_name as income_account,
    case when i.id is null then 'salesforce_only' else 'both' end as presence,
    coalesce(p.is_active, true) and coalesce(i.active, true) as active,
    coalesce(p.is_deleted, false) as deleted
from salesforce.product2 as p
left join sold_as as s on p.id = s.product_id
left join items as i on s.item_id = i.id
left join quickbooks.account as a on i.income_account_id = a.id
union all by name
select
    'item-' || i.id as product_key,
    i.full_name as product,
    cast(null as varchar) as product_id,
    i.id as item_id,
    i.full_name as item,
    cast(null as varchar) as code,
    i.sku,
    cast(null as varchar) as family,
    i.type,
    a.fully_qualified_name as income_account,
    'quickbooks_only' as presence,
    i.active,
    i.is_deleted as deleted
from items as i
left join quickbooks.account as a on i.income_account_id = a.id
where i.id not in (select item_id from alone)
order by product, product_key
