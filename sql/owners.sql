-- reporting.owners
-- A row is one person who owns deals or accounts in Salesforce.
--
-- @key: owner_id
-- @required: owner_id, won_deals
--
-- owner_id: Salesforce user, 18 characters
-- owner: full name; null for a user that Salesforce does not show to the program
-- email: e-mail address
-- active: whether the user may still log in
-- won_deals: won deals that are the owner's now
with won as (
    select owner_id, count(*) filter (where is_won and not is_deleted) as deals
    from salesforce.opportunity
    where owner_id is not null
    group by owner_id
),

everyone as (
    select id as owner_id from salesforce.user
    union
    select owner_id from won
    union
    select owner_id from salesforce.account where owner_id is not null
)

select
    e.owner_id,
    u.name as owner,
    u.email,
    u.is_active as active,
    coalesce(w.deals, 0) as won_deals
from everyone as e
left join salesforce.user as u on e.owner_id = u.id
left join won as w on e.owner_id = w.owner_id
order by u.name, e.owner_id
