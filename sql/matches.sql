-- reporting.matches
-- A row is one Salesforce account and what was decided about its QuickBooks customer: by an id, a rule or a person, with the
-- evidence. Accounts with several customers show the one that is billed. Instants are UTC.
--
-- @key: account_id
-- @required: account_id, outcome, method, reason
-- @values: outcome in linked, create, review, ignored
-- @values: review_status in open, linked, create, ignored, closed
--
-- account_id: Salesforce account, 18 characters
-- account: name of the account
-- customer_id: QuickBooks customer, where linked
-- customer: display name of the customer
-- outcome: linked, create, review or ignored
-- method: link, stored_id, marker, decision, name_and_evidence, scored, no_candidate or question
-- first_method: how the link was found when it was made; null where no link is kept yet
-- reason: why, as a sentence
-- score: how sure the comparison of fields is, 0 to 1; null where an id or a person says so
-- evidence: what was compared, field by field (JSON object)
-- rule_version: version of the rules that decided
-- decided_by: who or what made the link
-- decided_at: when the link was made
-- review_id: the question that a person was asked, if there was one
-- review_status: open, linked, create, ignored or closed
select
    m.account_id,
    m.account_name as account,
    m.customer_id,
    c.display_name as customer,
    m.outcome,
    m.method,
    l.method as first_method,
    m.reason,
    coalesce(m.score, l.score) as score,
    coalesce(nullif(m.evidence, '{}'), l.evidence) as evidence,
    coalesce(l.rule_version, m.rule_version) as rule_version,
    l.decided_by,
    l.decided_at,
    r.review_id,
    r.status as review_status
from customers.matches as m
left join quickbooks.customer as c on m.customer_id = c.id
left join pipeline.customer_links as l on m.account_id = l.account_id and m.customer_id = l.customer_id
left join pipeline.reviews as r on m.account_id = r.account_id
order by m.account_name, m.account_id
