-- reporting.write_log (view)
-- A row is one write to Salesforce or QuickBooks that was ever sent, from the ledger: what, for which deal, why, and what became
-- of it. A write that is done is never sent again. Writes that were planned and never sent are not here. Instants are UTC.
--
-- @key: write_key
-- @required: write_key, flow, operation, system, object, status, attempts
-- @values: system in salesforce, quickbooks
-- @values: status in planned, sending, done, failed, dead, withdrawn
--
-- write_key: what makes this write the same write
-- plan_id: plan that it belonged to
-- flow: flow that wanted it
-- operation: kind of write, such as create_invoice
-- system: salesforce or quickbooks
-- object: object that was written
-- record_id: id of what was written; null as long as it is not done
-- source_id: Salesforce record that it comes from
-- opportunity_id: deal that it belongs to
-- deal: name of the deal now
-- amount: amount of an invoice, in currency
-- currency: ISO code of amount
-- reason: why it was written
-- status: done; sending while the answer is not known; planned or failed while it is tried again; dead or withdrawn for good
-- attempts: times that it was sent
-- error_code: last error code of the service
-- error: last error in words
-- planned_at: when it was first planned
-- done_at: when it was carried out
-- changed_at: when its status changed last
select
    l.key as write_key,
    l.plan_id,
    l.flow,
    l.operation,
    l.target_system as system,
    l.target_object as object,
    l.result_id as record_id,
    l.source_id,
    l.opportunity_id,
    o.name as deal,
    l.amount,
    l.currency,
    l.reason,
    l.status,
    l.attempts,
    l.error_code,
    l.error_message as error,
    l.created_at as planned_at,
    l.done_at,
    l.updated_at as changed_at
from pipeline.ledger as l
left join salesforce.opportunity as o on l.opportunity_id = o.id
where l.attempts > 0 or l.status = 'done'
