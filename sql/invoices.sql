-- reporting.invoices
-- A row is one invoice in QuickBooks, whoever made it: live, voided or deleted, with the Salesforce deal that it bills.
-- Money is in the invoice's own currency, tax included unless a column says otherwise. Dates are days of the company.
--
-- invoice_id: QuickBooks' id of the invoice
-- number: document number that the customer sees
-- status: live, voided or deleted
-- made_by: qbsf where the invoice carries the marker of a deal, else hand
-- customer_id: QuickBooks' id of the customer
-- customer: display name of the customer
-- opportunity_id: 18-character id of the Salesforce deal, from the marker or from the id written on the deal
-- deal: name of the deal
-- owner: owner of the deal
-- closed_on: close date of the deal
-- invoiced_on: date of the invoice
-- due_on: date when it is to be paid
-- days_to_invoice: days from the deal's close date to the invoice's date
-- currency: ISO code of every amount in the row
-- total: total of the invoice, tax included
-- tax: sales tax in the total
-- deal_amount: amount of the deal, in the deal's currency (the same as the invoice's)
-- difference: total without tax minus the deal's amount; 0 is right; null where there is no deal
-- balance: what is still to be paid
-- emailed: whether QuickBooks has mailed it
-- emailed_to: bill-to address
-- link: for a person to open the invoice, where it was written on the deal
with billed as (
    -- Two joins by one key each: one join by either key would compare every invoice with every deal.
    select i.id as billed_by, o.*
    from quickbooks.invoice as i
    inner join salesforce.opportunity as o on left(o.id, 15) = left(i.opportunity_id, 15)
    union all
    select i.id as billed_by, o.*
    from quickbooks.invoice as i
    inner join salesforce.opportunity as o on o.invoice_id = i.id
    where i.opportunity_id is null
)

select
    i.id as invoice_id,
    i.doc_number as number,
    i.status,
    case when i.opportunity_id is not null then 'qbsf' else 'hand' end as made_by,
    i.customer_id,
    coalesce(c.display_name, i.customer_name) as customer,
    o.id as opportunity_id,
    o.name as deal,
    u.name as owner,
    o.close_date as closed_on,
    i.txn_date as invoiced_on,
    i.due_date as due_on,
    i.txn_date - o.close_date as days_to_invoice,
    coalesce(i.currency, p.home_currency) as currency,
    i.total,
    coalesce(i.tax, 0) as tax,
    cast(o.amount as decimal(18, 2)) as deal_amount,
    case when o.id is not null and i.status = 'live' then i.total - coalesce(i.tax, 0) - cast(o.amount as decimal(18, 2)) end
        as difference,
    i.balance,
    coalesce(i.email_status = 'EmailSent', false) as emailed,
    i.bill_email as emailed_to,
    o.invoice_url as link
from quickbooks.invoice as i
left join billed as o on i.id = o.billed_by
left join salesforce.user as u on o.owner_id = u.id
left join quickbooks.customer as c on i.customer_id = c.id
left join (select max(home_currency) as home_currency from quickbooks.preferences) as p on true
order by i.txn_date desc, i.id
