-- reporting.revenue_leakage
-- A row is one won deal with an amount above zero that has no live invoice, and why, as the flow of invoices sees it: what was
-- sold and is not billed. A deal that is only invoiced later is here until then. Money is in the deal's own currency.
--
-- @key: opportunity_id
-- @required: opportunity_id, cause, currency, amount
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @values: cause in not_examined, before_go_live, refused, waiting, planned, in_progress, dead, voided
-- @measure: amount | amount of a won deal without a live invoice | unit: the deal's currency
--     | source: revenue leakage as billing audits use the word: sold and not billed
--
-- opportunity_id: Salesforce deal
-- deal: name of the deal
-- customer_key: the real customer: reporting.customers
-- account: name of the account
-- owner_id: owner of the deal
-- owner: name of the owner
-- closed_on: day on which it was won
-- days_since_won: days from closed_on to the day that counts as today
-- currency: ISO code of amount
-- amount: amount of the deal
-- amount_home: amount in home_currency at Salesforce's rate; null where Salesforce has none
-- home_currency: ISO code of the company's currency
-- cause: refused, waiting, planned, in_progress, dead, before_go_live, voided (it had an invoice) or not_examined
-- explanation: why, as a sentence
-- remedy: what to do about a refusal
-- link: opens the invoice that was written on the deal, where there is one
with today as (select max(as_of) as as_of from pipeline.reporting_day),

refused as (
    select
        opportunity_id,
        string_agg(reason, ' ' order by position) as reason,
        string_agg(remedy, ' ' order by position) as remedy
    from invoices.refusals
    group by opportunity_id
)

select
    d.opportunity_id,
    d.deal,
    d.customer_key,
    d.account,
    d.owner_id,
    d.owner,
    d.closed_on,
    today.as_of - d.closed_on as days_since_won,
    d.currency,
    d.amount,
    d.booked_home as amount_home,
    d.home_currency,
    case when x.outcome = 'invoiced' then 'voided' else coalesce(x.outcome, 'not_examined') end as cause,
    coalesce(r.reason, x.detail, 'The flow of invoices has not seen the deal yet.') as explanation,
    r.remedy,
    d.link
from reporting.deals as d
left join invoices.deals as x on d.opportunity_id = x.opportunity_id
left join refused as r on d.opportunity_id = r.opportunity_id
cross join today
where d.status = 'won' and d.invoices = 0 and d.amount > 0
