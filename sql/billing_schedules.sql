-- reporting.billing_schedules
-- A row is one period of a deal that is billed period by period: what it covers, when it is billed, what became of it. Periods
-- that a change of the deal ended stay, with the reason. Amounts are in the deal's currency and without tax, paid and balance are
-- those of the invoice, tax included. The schedule is as the newest plan has it, its invoices as they are now.
--
-- @key: opportunity_id, period
-- @required: opportunity_id, period, kind, covers_from, covers_to, due_on, amount, recurring_amount, status
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: customer_key to customers.customer_key
-- @values: kind in period, once, difference
-- @values: status in planned, due, under_way, invoiced, partially_paid, paid, voided, credit_proposed, credited, skipped,
--     held, ended
-- @measure: recurring_amount | shares of subscriptions in the period, without what is billed once | unit: currency of the row
--     | source: qbsf
--
-- opportunity_id: the deal, 18 characters
-- period: number of the period, from 0; with the deal, what makes its invoice the same for ever
-- deal: name of the deal
-- customer_key: the real customer: reporting.customers
-- customer: its name
-- kind: period; once: set-up fees on an invoice of their own; difference: what a change adds to billed periods, or takes off
-- covers_from: first day that it covers
-- covers_to: last day that it covers
-- due_on: day on which it is billed
-- frequency: monthly, quarterly, semiannual or annual; null where lines differ or have revenue schedules
-- source: what the schedule was made from: revenue_schedule, line, deal, or several joined by +
-- currency: ISO code of every amount in the row
-- amount: what it bills, without tax; below 0 for a credit
-- recurring_amount: how much of it is subscriptions
-- status: what became of it
-- why: why it is skipped, held, ended or waits, in a sentence
-- invoice_id: its invoice or credit memo in QuickBooks
-- invoice_number: the number of that
-- invoiced_on: the date of that
-- paid: what of the invoice is settled, tax included
-- balance: what of it is open, tax included
with billed as (
    -- An invoice of the newest push is in no plan yet.
    select
        opportunity_id,
        cast(regexp_extract(key, ':period-(\d+)$', 1) as bigint) as period,
        max(result_id) as invoice_id
    from pipeline.ledger
    where operation in ('create_invoice', 'create_credit_memo') and status = 'done' and regexp_matches(key, ':period-\d+$')
    group by all
)

select
    s.opportunity_id,
    s.period,
    s.deal,
    d.customer_key,
    d.account as customer,
    s.kind,
    s.covers_from,
    s.covers_to,
    s.due_on,
    s.frequency,
    s.source,
    s.currency,
    s.amount,
    s.recurring_amount,
    case
        when s.amount < 0 and b.invoice_id is not null then 'credited'
        when i.invoice_id is null and b.invoice_id is not null then 'invoiced'
        when i.invoice_id is null then s.status
        when i.status <> 'live' then 'voided'
        when i.balance <= 0 then 'paid'
        when i.balance < i.total then 'partially_paid'
        else 'invoiced'
    end as status,
    case when i.invoice_id is null or i.status <> 'live' then s.why end as why,
    coalesce(b.invoice_id, s.invoice_id) as invoice_id,
    coalesce(i.number, s.invoice_number) as invoice_number,
    coalesce(i.invoiced_on, s.invoiced_on) as invoiced_on,
    case when i.status = 'live' then i.total - i.balance else s.paid end as paid,
    coalesce(i.balance, s.balance) as balance
from invoices.billing_schedules as s
left join billed as b on s.opportunity_id = b.opportunity_id and s.period = b.period
left join reporting.invoices as i on coalesce(b.invoice_id, s.invoice_id) = i.invoice_id
left join reporting.deals as d on s.opportunity_id = d.opportunity_id
