-- reporting.invoices
-- A row is one invoice in QuickBooks, whoever made it: live, voided or deleted, with the Salesforce deal that it bills.
-- Money is in the invoice's own currency, tax included unless a column says otherwise. Dates are days of the company. A voided
-- invoice has nothing but zeros in QuickBooks; a deleted one keeps the total that it had, and bills nothing (net is 0).
--
-- @key: invoice_id
-- @required: invoice_id, status, made_by, currency, net
-- @refers: opportunity_id to deals.opportunity_id
-- @refers: customer_key to customers.customer_key
-- @refers: owner_id to owners.owner_id
-- @values: status in live, voided, deleted
-- @values: made_by in qbsf, hand
-- @values: payment_status in Invoiced, Sent, Partially Paid, Paid, Overpaid, Credited, Voided, Deleted
-- @measure: days_to_invoice | invoice date - close date of the deal; below zero is in advance | unit: days | source: qbsf
-- @measure: net | TotalAmt - TxnTaxDetail.TotalTax of a live invoice, by its date: what counts as billed
--     | unit: the invoice's currency | source: billings, invoices net of tax, as QuickBooks' Sales reports count them
--
-- invoice_id: QuickBooks' id of the invoice
-- number: document number that the customer sees
-- status: live, voided or deleted
-- made_by: qbsf where the invoice carries the marker of a deal, else hand
-- customer_key: the real customer: reporting.customers
-- customer_id: QuickBooks' id of the customer
-- customer: display name of the customer
-- opportunity_id: 18-character id of the Salesforce deal: by the marker, by what is written on the deal, or by a person
-- deal: name of the deal
-- owner_id: owner of the deal
-- owner: name of the owner
-- closed_on: close date of the deal
-- invoiced_on: date of the invoice
-- due_on: date when it is to be paid
-- days_to_invoice: days from the deal's close date to the invoice's date
-- currency: ISO code of every amount in the row that is not in the home currency
-- exchange_rate: home currency for one of the invoice's; null in a company with one currency
-- total: total of the invoice, tax included
-- tax: sales tax in the total
-- net: total without tax of a live invoice: what it bills; 0 for a voided or deleted one
-- net_home: net at the invoice's exchange rate, in home_currency; null where a foreign invoice has no rate
-- home_currency: ISO code of the company's currency
-- deal_amount: amount of the deal, in the deal's currency (the same as the invoice's)
-- difference: total without tax minus the deal's amount; 0 is right; null where there is no deal, or it bills
--     one period of it
-- balance: what is still to be paid, as QuickBooks says
-- payment_status: as on the deal in Salesforce: Invoiced, Sent, Partially Paid, Paid, ...
-- paid: payments, deposits and journal entries against a bank account that are applied to it
-- credited: credit memos and other journal entries that are applied to it
-- written_off: what was given up as bad debt
-- open: total less all that is applied
-- last_payment_on: date of the newest payment of it
-- settled_on: day on which nothing was open any more; null while something is
-- disputed: whether a person marked it as disputed
-- emailed: whether QuickBooks has mailed it
-- emailed_to: bill-to address
-- sent_on: day on which it was mailed, where QuickBooks or qbsf's own record tells
-- link: for a person to open the invoice, where it was written on the deal
with written as (
    -- For invoices that are not in receivables yet: whoever runs the flow of invoices alone has them from the deals.
    select invoice_id, min(id) as opportunity_id
    from salesforce.opportunity
    where invoice_id is not null and invoice_id not in (select invoice_id from receivables.invoices)
    group by invoice_id
),

mailed as (
    select result_id as invoice_id, min(done_at) as sent_at
    from pipeline.ledger
    where operation = 'send_invoice' and status = 'done'
    group by result_id
),

home as (select max(home_currency) as currency from quickbooks.preferences),

zone as (select coalesce(max(time_zone), 'UTC') as name from pipeline.reporting_day),

billed as (
    select
        i.id as billed_by,
        case when i.status = 'live' then cast(i.total - coalesce(i.tax, 0) as decimal(18, 2)) end as net,
        r.payment_status,
        r.paid,
        r.credited,
        r.written_off,
        r.open,
        r.last_payment_on,
        r.settled_on,
        r.disputed,
        case when r.invoice_id is null then coalesce(i.opportunity_id, w.opportunity_id) else r.opportunity_id end
            as opportunity_id
    from quickbooks.invoice as i
    left join (
        select
            invoice_id,
            opportunity_id,
            status as payment_status,
            paid,
            credited,
            written_off,
            open,
            last_payment_on,
            first_paid_in_full_on as settled_on,
            disputed
        from receivables.invoices
    ) as r on i.id = r.invoice_id
    left join written as w on i.id = w.invoice_id
),

deals as (
    select
        id,
        name,
        owner_id,
        close_date,
        invoice_url,
        cast(round(amount, 2) as decimal(18, 2)) as amount
    from salesforce.opportunity
)

select
    i.id as invoice_id,
    i.doc_number as number,
    i.status,
    case when i.opportunity_id is not null then 'qbsf' else 'hand' end as made_by,
    k.customer_key,
    i.customer_id,
    coalesce(k.name, i.customer_name) as customer,
    b.opportunity_id,
    o.name as deal,
    o.owner_id,
    u.name as owner,
    o.close_date as closed_on,
    i.txn_date as invoiced_on,
    i.due_date as due_on,
    i.txn_date - o.close_date as days_to_invoice,
    coalesce(i.currency, home.currency) as currency,
    i.exchange_rate,
    i.total,
    coalesce(i.tax, 0) as tax,
    coalesce(b.net, cast(0 as decimal(18, 2))) as net,
    case
        when i.status <> 'live' then cast(0 as decimal(18, 2))
        when i.currency is null or i.currency = home.currency then b.net
        else cast(round(b.net * i.exchange_rate, 2) as decimal(18, 2))
    end as net_home,
    home.currency as home_currency,
    o.amount as deal_amount,
    case
        when not regexp_matches(coalesce(i.private_note, ''), 'Billing (period|difference) \d+ \(')
            then cast(b.net - o.amount as decimal(18, 2))
    end as difference,
    i.balance,
    b.payment_status,
    b.paid,
    b.credited,
    b.written_off,
    b.open,
    b.last_payment_on,
    b.settled_on,
    coalesce(b.disputed, false) as disputed,
    coalesce(i.email_status = 'EmailSent', false) as emailed,
    i.bill_email as emailed_to,
    case
        when i.email_status = 'EmailSent'
            then
                cast(
                    timezone(
                        zone.name,
                        coalesce(try_cast(i.record ->> '$.DeliveryInfo.DeliveryTime' as timestamp with time zone), m.sent_at)
                    ) as date
                )
    end as sent_on,
    o.invoice_url as link
from quickbooks.invoice as i
inner join billed as b on i.id = b.billed_by
left join deals as o on b.opportunity_id = o.id
left join salesforce.user as u on o.owner_id = u.id
left join reporting.customer_records as k on i.customer_id = k.record_id
left join mailed as m on i.id = m.invoice_id
cross join home
cross join zone
