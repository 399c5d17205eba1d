-- reporting.field_changes
-- A row is one difference of one field between an account and its customer, as it was found: both values, whose value counted
-- and why, and what became of it. Values are JSON: a text, true or false, or an object. Instants are UTC.
--
-- @key: journal_id
-- @required: journal_id, seen_at, account_id, customer_id, field, kind, status
-- @values: winner in salesforce, quickbooks, none
-- @values: kind in owner_changed, put_back, both_changed, first_difference, report_only, kept, reversed
-- @values: status in planned, written, reported, refused, withdrawn
--
-- journal_id: short id, for qbsf review reverse
-- seen_at: when it was found
-- account_id: Salesforce account, 18 characters
-- account: name of the account
-- customer_id: QuickBooks customer
-- customer: display name of the customer
-- field: field that differed
-- owner: system whose value counts for the field: salesforce or quickbooks
-- salesforce_value: value in Salesforce when it was found
-- quickbooks_value: value in QuickBooks when it was found
-- agreed_value: what both had meant when they last agreed; null where they never did
-- winner: salesforce, quickbooks or none
-- kind: owner_changed, put_back, both_changed, first_difference, report_only, kept or reversed
-- rule: why, as a sentence
-- changed_by: who changed it, where the system tells
-- changed_at: when it was changed there
-- status: planned, written, reported, refused or withdrawn
-- settled_at: when it was written, refused or withdrawn
-- reversed_by: who wanted the other value back
-- reversed_at: since when
select
    journal_id,
    seen_at,
    account_id,
    account_name as account,
    customer_id,
    customer_name as customer,
    field,
    owner,
    salesforce_value,
    quickbooks_value,
    agreed_value,
    winner,
    kind,
    rule,
    changed_by,
    changed_at,
    status,
    settled_at,
    reversed_by,
    reversed_at
from pipeline.field_journal
order by seen_at desc, journal_id
