-- reporting.deal_history (view)
-- A row is one version of one deal: what the pipeline believed from one pass until a later one saw it otherwise. For a day:
-- select * from reporting.deals_on(date '2026-03-31') gives every deal as it was believed at the end of that day of the company.
-- Names of owner and account are those of now. A deleted deal goes on as a version that is deleted, with its last values.
--
-- @key: opportunity_id, valid_from
-- @required: opportunity_id, valid_from, valid_from_day, is_deleted, is_current
--
-- opportunity_id: Salesforce deal, 18 characters
-- deal: its name
-- valid_from: when a pass first saw it so (UTC)
-- valid_to: when a pass first saw it otherwise (UTC); null for the version of now
-- valid_from_day: day of the company of valid_from
-- valid_to_day: day of the company of valid_to
-- is_current: whether it is the version of now
-- is_deleted: whether the deal was deleted
-- account_id: account that buys
-- account: its name now
-- owner_id: user who owned the deal
-- owner: name of that user now
-- stage: stage, as the org names it
-- is_won: whether it was won
-- is_closed: whether it was closed, won or lost
-- closed_on: day it closed or was to close
-- amount: amount of the deal, in currency
-- currency: ISO code of amount and invoice_balance
-- billing_frequency: One-Time, Monthly, Quarterly or Annual
-- billing_periods: how many times it was to be billed
-- billing_start_on: first day of recurring billing
-- payment_terms: payment terms agreed on the deal
-- invoice_id: QuickBooks id of the invoice that was written on the deal
-- invoice_number: its number
-- payment_status: payment status that stood on the deal
-- invoice_balance: open balance that stood on the deal, in currency
-- last_payment_on: day of the newest payment that stood on the deal
select
    v.opportunity_id,
    v.name as deal,
    v.valid_from,
    v.valid_to,
    v.valid_from_day,
    v.valid_to_day,
    v.valid_to is null as is_current,
    v.is_deleted,
    v.account_id,
    a.name as account,
    v.owner_id,
    u.name as owner,
    v.stage_name as stage,
    v.is_won,
    v.is_closed,
    v.close_date as closed_on,
    cast(v.amount as decimal(18, 2)) as amount,
    coalesce(v.currency, g.currency) as currency,
    v.billing_frequency,
    cast(v.billing_periods as decimal(18, 2)) as billing_periods,
    v.billing_start_date as billing_start_on,
    v.payment_terms,
    v.invoice_id,
    v.invoice_number,
    v.payment_status,
    v.invoice_balance,
    v.last_payment_date as last_payment_on
from pipeline.deal_versions as v
left join salesforce.account as a on v.account_id = a.id
left join salesforce.user as u on v.owner_id = u.id
left join (select max(default_currency) as currency from salesforce.organization) as g on true
