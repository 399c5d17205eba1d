-- reporting.customers
-- A row is one real customer: Salesforce accounts and QuickBooks customers that are linked, an account that QuickBooks does not
-- have, or a QuickBooks customer that no account is linked to, each with its sub-customers. Which record belongs to which
-- customer stands in reporting.customer_records. Money is in the customer's own currency.
--
-- @key: customer_key
-- @required: customer_key, presence, differences, won_deals, deleted
-- @refers: owner_id to owners.owner_id
-- @values: presence in both, salesforce_only, quickbooks_only
-- @values: match in linked, create, review, ignored
--
-- customer_key: the account's id, or qbo- and the customer's id as long as no account is linked
-- name: the account's name, else the customer's display name
-- account_id: Salesforce account, 18 characters
-- customer_id: QuickBooks customer that is billed
-- other_customer_ids: further QuickBooks customers (branches, currencies, sub-customers and projects), separated by spaces
-- other_account_ids: further Salesforce accounts that a person linked to the same customer, separated by spaces
-- presence: both, salesforce_only or quickbooks_only
-- match: linked, create, review or ignored; null where there is no account
-- match_reason: why, as a sentence
-- parent_key: the customer above it in Salesforce
-- segment: industry of the account, else its type; null where Salesforce does not tell
-- owner_id: owner of the account
-- owner: name of the owner
-- email: billing e-mail of the account, else the customer's
-- city: billing city of the account, else the customer's
-- country: billing country of the account, else the customer's
-- terms: payment terms of the customer
-- currency: ISO code of every amount in the row
-- balance: open balance in QuickBooks, of the customer that is billed
-- active: whether the QuickBooks customer can be billed; null where there is none
-- differences: fields in which account and customer differ now
-- won_deals: won deals of its accounts
-- deleted: whether it is there only because deals or documents name it
with home as (select max(home_currency) as currency from quickbooks.preferences),

gathered as (
    select
        customer_key,
        count(*) as records,
        bool_or(system = 'salesforce') as in_salesforce,
        bool_or(system = 'quickbooks') as in_quickbooks,
        bool_and(deleted) as deleted,
        min(record_id) filter (where system = 'quickbooks' and linked) as linked_id
    from reporting.customer_records
    group by customer_key
),

billed as (
    select
        g.*,
        case when g.in_salesforce then g.customer_key end as account_id,
        m.outcome,
        m.reason,
        case when g.in_salesforce then coalesce(m.customer_id, g.linked_id) else substr(g.customer_key, 5) end as customer_id
    from gathered as g
    left join customers.matches as m on g.customer_key = m.account_id
),

-- Most customers are one record on each side: only the others are written out.
others as (
    select
        b.customer_key,
        string_agg(r.record_id, ' ' order by r.record_id) filter (
            where r.system = 'quickbooks' and r.record_id is distinct from b.customer_id
        ) as customer_ids,
        string_agg(r.record_id, ' ' order by r.record_id) filter (
            where r.system = 'salesforce' and r.record_id is distinct from b.account_id
        ) as account_ids
    from billed as b
    inner join reporting.customer_records as r on b.customer_key = r.customer_key
    where b.records > 1
    group by b.customer_key
),

differing as (
    select r.customer_key, count(distinct d.field) as fields
    from customers.field_differences as d
    inner join reporting.customer_records as r on d.account_id = r.record_id
    group by r.customer_key
),

won as (
    select r.customer_key, count(*) as deals
    from salesforce.opportunity as o
    inner join reporting.customer_records as r on o.account_id = r.record_id
    where o.is_won and not o.is_deleted
    group by r.customer_key
)

select
    b.customer_key,
    coalesce(a.name, c.display_name) as name,
    b.account_id,
    b.customer_id,
    o.customer_ids as other_customer_ids,
    o.account_ids as other_account_ids,
    case
        when not b.in_salesforce then 'quickbooks_only'
        when b.customer_id is null then 'salesforce_only'
        else 'both'
    end as presence,
    b.outcome as match,
    b.reason as match_reason,
    nullif(p.customer_key, b.customer_key) as parent_key,
    coalesce(nullif(trim(a.industry), ''), nullif(trim(a.type), '')) as segment,
    a.owner_id,
    u.name as owner,
    coalesce(a.billing_email, c.email) as email,
    coalesce(a.billing_city, c.billing_city) as city,
    coalesce(a.billing_country, c.billing_country) as country,
    t.name as terms,
    coalesce(c.currency, a.currency, home.currency) as currency,
    c.balance,
    c.active,
    coalesce(d.fields, 0) as differences,
    coalesce(w.deals, 0) as won_deals,
    b.deleted
from billed as b
left join salesforce.account as a on b.account_id = a.id
left join quickbooks.customer as c on b.customer_id = c.id
left join quickbooks.term as t on c.term_id = t.id
left join salesforce.user as u on a.owner_id = u.id
left join reporting.customer_records as p on a.parent_id = p.record_id
left join others as o on b.customer_key = o.customer_key
left join differing as d on b.customer_key = d.customer_key
left join won as w on b.customer_key = w.customer_key
cross join home
