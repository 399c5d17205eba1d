-- reporting.reconciliation (view)
-- A row is one case of one month: a deal with its invoices and credit memos, or an invoice without a deal, and the one class that
-- says why won and invoiced differ, or that they do not. Per month and currency, won less the sum of difference is invoiced.
-- Amounts are in the row's currency, without sales tax. This is how things stand now; a closed month's report is kept as it was
-- (qbsf reconcile --month).
--
-- @key: case_key, month, currency
-- @required: case_key, month, currency, class, won, invoiced, difference, explained
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @measure: difference | won - invoiced of the month, by document date; the sum of all classes closes the bridge
--     | unit: currency of the row | source: qbsf_pipeline/reconciliation/tables.py
--
-- month: first day of the month
-- currency: ISO code of every amount in the row
-- case_key: deal: or invoice: and an id; the same in every month
-- class: why won and invoiced differ here, such as invoiced_later; matched where they do not
-- explained: false only for the class unexplained
-- explanation: the sentence that explains it
-- cause: the cause in few words; null where the class says it all
-- acts: who should act: sales, finance or nobody
-- since: since when the difference is there
-- opportunity_id: the deal; null without one
-- deal: its name
-- owner_id: its owner
-- owner: name of the owner
-- customer_key: the real customer: reporting.customers
-- customer: name of the account, else of the customer
-- closed_on: close date of the deal
-- invoiced_on: date of its first invoice
-- numbers: document numbers of its invoices
-- deal_amount: what the deal is worth altogether
-- billed: invoices less credit memos in all months
-- won: won in this month
-- invoiced: invoices less credit memos dated in this month
-- difference: won less invoiced
-- deal_link: opens the deal
-- invoice_link: opens the first invoice
select
    c.month,
    c.currency,
    c.case_key,
    c.class,
    c.explained,
    c.explanation,
    c.cause,
    c.acts,
    c.since,
    c.opportunity_id,
    c.deal,
    c.owner_id,
    c.owner,
    coalesce(q.customer_key, s.customer_key) as customer_key,
    coalesce(c.account, c.customer) as customer,
    c.closed_on,
    c.invoiced_on,
    c.numbers,
    c.deal_amount,
    c.billed,
    c.won,
    c.invoiced,
    c.difference,
    c.deal_link,
    c.invoice_link
from reconciliation.cases as c
left join reporting.customer_records as q on c.customer_id = q.record_id
left join reporting.customer_records as s on c.account_id = s.record_id
