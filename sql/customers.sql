-- reporting.customers
-- A row is one real customer: a Salesforce account with its QuickBooks customers, an account that QuickBooks does not have, or
-- a QuickBooks customer that no account is linked to. Deleted records are left out. Money is in the customer's own currency.
--
-- customer_key: the account's id, or qbo- and the customer's id where there is no account
-- name: the account's name, else the customer's display name
-- account_id: Salesforce account, 18 characters
-- customer_id: QuickBooks customer that is billed
-- other_customer_ids: further QuickBooks customers of the account (branches, currencies), separated by spaces
-- presence: both, salesforce_only or quickbooks_only
-- match: linked, create, review or ignored; null where there is no account
-- match_reason: why, as a sentence
-- owner: owner of the account
-- email: billing e-mail of the account, else the customer's
-- city: billing city of the account, else the customer's
-- country: billing country of the account, else the customer's
-- terms: payment terms of the customer
-- currency: ISO code of every amount in the row
-- balance: open balance in QuickBooks, of the customer that is billed
-- active: whether the QuickBooks customer can be billed; null where there is none
-- differences: fields in which account and customer differ now
-- won_deals: won deals of the account
with linked as (
    select account_id, string_agg(customer_id, ' ' order by customer_id) as customer_ids
    from pipeline.customer_links
    group by account_id
),

taken as (
    select customer_id from pipeline.customer_links
    union
    select customer_id from customers.matches where outcome = 'linked'
),

differing as (
    select account_id, count(distinct field) as fields
    from customers.field_differences
    group by account_id
),

won as (
    select account_id, count(*) as deals
    from salesforce.opportunity
    where is_won and not is_deleted
    group by account_id
),

home as (select max(home_currency) as currency from quickbooks.preferences),

accounts as (
    select
        a.id as customer_key,
        a.name,
        a.id as account_id,
        m.customer_id,
        nullif(trim(replace(' ' || coalesce(l.customer_ids, '') || ' ', ' ' || coalesce(m.customer_id, '') || ' ', ' ')), '')
            as other_customer_ids,
        case when m.customer_id is null then 'salesforce_only' else 'both' end as presence,
        m.outcome as match,
        m.reason as match_reason,
        u.name as owner,
        coalesce(a.billing_email, c.email) as email,
        coalesce(a.billing_city, c.billing_city) as city,
        coalesce(a.billing_country, c.billing_country) as country,
        t.name as terms,
        coalesce(c.currency, a.currency, home.currency) as currency,
        c.balance,
        c.active,
        coalesce(d.fields, 0) as differences,
        coalesce(w.deals, 0) as won_deals
    from salesforce.account as a
    left join customers.matches as m on a.id = m.account_id
    left join quickbooks.customer as c on m.customer_id = c.id
    left join quickbooks.term as t on c.term_id = t.id
    left join salesforce.user as u on a.owner_id = u.id
    left join linked as l on a.id = l.account_id
    left join differing as d on a.id = d.account_id
    left join won as w on a.id = w.account_id
    left join home on true
    where not a.is_deleted
),

customers_alone as (
    select
        'qbo-' || c.id as customer_key,
        c.display_name as name,
        cast(null as varchar) as account_id,
        c.id as customer_id,
        cast(null as varchar) as other_customer_ids,
        'quickbooks_only' as presence,
        cast(null as varchar) as match,
        cast(null as varchar) as match_reason,
        cast(null as varchar) as owner,
        c.email,
        c.billing_city as city,
        c.billing_country as country,
        t.name as terms,
        coalesce(c.currency, home.currency) as currency,
        c.balance,
        c.active,
        0 as differences,
        0 as won_deals
    from quickbooks.customer as c
    left join quickbooks.term as t on c.term_id = t.id
    left join home on true
    where not c.is_deleted and c.id not in (select customer_id from taken where customer_id is not null)
)

select
    customer_key,
    name,
    account_id,
    customer_id,
    other_customer_ids,
    presence,
    match,
    match_reason,
    owner,
    email,
    city,
    country,
    terms,
    currency,
    balance,
    active,
    differences,
    won_deals
from (
    select * from accounts
    union all by name
    select * from customers_alone
) as everyone
order by name, customer_key
