-- reporting.customer_records
-- A row is one record of either system that stands for a customer, a Salesforce account or a QuickBooks customer, and the real
-- customer that it belongs to. Linked records belong together, also over several links. A sub-customer or project in QuickBooks
-- that no account is linked to belongs to its parent. Deleted records are left out unless a deal or document still names them.
--
-- @key: record_id
-- @required: record_id, system, customer_key, linked, deleted
-- @refers: customer_key to customers.customer_key
-- @values: system in salesforce, quickbooks
--
-- record_id: id of the account (18 characters) or of the customer (a number)
-- system: salesforce or quickbooks
-- customer_key: the real customer: an account's id, or qbo- and a customer's id where no account is linked
-- name: name of the account, display name of the customer
-- linked: whether an account and a customer are linked in this record; false for what is one system's alone
-- deleted: whether the record was deleted or merged away
with recursive links as (
    select account_id, customer_id from pipeline.customer_links
    union
    select account_id, customer_id from customers.matches where outcome = 'linked' and customer_id is not null
    union
    -- Created since the accounts were matched.
    select l.source_id as account_id, l.result_id as customer_id
    from pipeline.ledger as l
    inner join customers.matches as m on l.source_id = m.account_id
    where l.operation = 'create_customer' and l.status = 'done' and m.outcome = 'create'
),

-- Only a person gives one customer to several accounts. They are one real customer then, named after the smallest id that a
-- chain of such links reaches; that account is the smallest of each customer of its own.
shared as (
    select account_id, customer_id
    from links
    where customer_id in (select customer_id from links group by customer_id having count(*) > 1)
),

smallest as (select customer_id, min(account_id) as account_id from shared group by customer_id),

firsts as (
    select s.account_id
    from shared as s
    inner join smallest as m on s.customer_id = m.customer_id
    group by s.account_id
    having bool_and(s.account_id = m.account_id)
),

reached as (
    select account_id, account_id as customer_key from firsts
    union
    select other.account_id, r.customer_key
    from reached as r
    inner join shared as own on r.account_id = own.account_id
    inner join shared as other on own.customer_id = other.customer_id
),

grouped as (select account_id, min(customer_key) as customer_key from reached group by account_id),

linked_customers as (
    select l.customer_id, min(coalesce(g.customer_key, a.id)) as customer_key
    from links as l
    inner join salesforce.account as a on l.account_id = a.id
    left join grouped as g on l.account_id = g.account_id
    group by l.customer_id
),

linked_accounts as (select distinct account_id from links),

candidates as (
    select c.id, c.parent_id, l.customer_key
    from quickbooks.customer as c
    left join linked_customers as l on c.id = l.customer_id
),

below as (select id, parent_id from candidates where customer_key is null and parent_id is not null),

placed as (
    select id, coalesce(customer_key, 'qbo-' || id) as customer_key
    from candidates
    where customer_key is not null or parent_id is null
    union all
    select b.id, p.customer_key
    from placed as p
    inner join below as b on p.id = b.parent_id
),

named_customers as (
    select customer_id from quickbooks.invoice
    union
    select customer_id from quickbooks.payment
    union
    select customer_id from quickbooks.credit_memo
    union
    select customer_id from quickbooks.refund_receipt
)

select
    a.id as record_id,
    'salesforce' as system,
    coalesce(g.customer_key, a.id) as customer_key,
    a.name,
    l.account_id is not null as linked,
    coalesce(a.is_deleted, false) as deleted
from salesforce.account as a
left join grouped as g on a.id = g.account_id
left join linked_accounts as l on a.id = l.account_id
where not coalesce(a.is_deleted, false) or a.id in (select account_id from salesforce.opportunity)
union all by name
select
    c.id as record_id,
    'quickbooks' as system,
    coalesce(p.customer_key, 'qbo-' || c.id) as customer_key,
    c.display_name as name,
    l.customer_id is not null as linked,
    coalesce(c.is_deleted, false) as deleted
from quickbooks.customer as c
left join placed as p on c.id = p.id
left join linked_customers as l on c.id = l.customer_id
where not coalesce(c.is_deleted, false) or c.id in (select customer_id from named_customers)
