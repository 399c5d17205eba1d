-- What an analyst would write for one company in one go: receivables, the tables of reporting, and month end, from the records as
-- they were pulled. It knows that company: one item for each product, one customer for each account, payments that pay invoices,
-- credit memos that a payment of zero applies. It looks after no other case, keeps no comments and checks nothing. Only
-- benchmarks/warehouse.py runs it, part by part; what comes out is compared with the product's tables.

-- part: receivables
drop schema if exists plain_receivables cascade;
create schema plain_receivables;

create table plain_receivables.applications as
with lines as (
    select id as payment_id, unnest(from_json(record, '{"Line":[{"Amount":"DECIMAL(18,2)","LinkedTxn":[{"TxnId":"VARCHAR","TxnType":"VARCHAR"}]}]}').Line) as line
    from quickbooks.payment
    where not is_deleted
),
links as (
    select payment_id, line.Amount as amount, line.LinkedTxn[1].TxnId as txn_id, line.LinkedTxn[1].TxnType as txn_type from lines
),
applied as (
    select i.payment_id, i.txn_id as invoice_id, i.amount, c.txn_id as credit_memo_id
    from links as i
    left join links as c on i.payment_id = c.payment_id and c.txn_type = 'CreditMemo'
    where i.txn_type = 'Invoice'
)
select
    case when a.credit_memo_id is null then concat_ws(':', 'payment', a.payment_id, a.invoice_id)
        else concat_ws(':', 'credit_memo', a.credit_memo_id, a.payment_id, a.invoice_id) end as application_id,
    a.invoice_id,
    case when a.credit_memo_id is null then 'payment' else 'credit_memo' end as source_type,
    coalesce(a.credit_memo_id, a.payment_id) as source_id,
    case when a.credit_memo_id is not null then a.payment_id end as through_id,
    i.customer_id,
    greatest(p.txn_date, i.txn_date, c.txn_date) as applied_on,
    coalesce(c.txn_date, p.txn_date) as source_date,
    a.amount,
    i.currency,
    case when a.credit_memo_id is null then m.name end as method,
    coalesce(c.doc_number, p.reference) as reference,
    case when a.credit_memo_id is null then 'paid' else 'credited' end as effect,
    false as is_write_off
from applied as a
join quickbooks.payment as p on a.payment_id = p.id
join quickbooks.invoice as i on a.invoice_id = i.id
left join quickbooks.credit_memo as c on a.credit_memo_id = c.id
left join quickbooks.payment_method as m on p.method_id = m.id
order by a.invoice_id, applied_on, application_id;

create table plain_receivables.unapplied as
select 'payment' as kind, id as source_id, customer_id, txn_date, unapplied as amount, currency
from quickbooks.payment
where not is_deleted and unapplied > 0;

create table plain_receivables.invoices as
with sums as (
    select
        a.invoice_id,
        coalesce(sum(a.amount) filter (where a.effect = 'paid'), 0) as paid,
        coalesce(sum(a.amount) filter (where a.effect = 'credited'), 0) as credited,
        max(a.source_date) filter (where a.effect = 'paid') as last_payment_on,
        max(a.applied_on) as last_applied_on,
        sum(u.amount) as left_over
    from plain_receivables.applications as a
    left join plain_receivables.unapplied as u on a.source_id = u.source_id
    group by a.invoice_id
),
owed as (
    select
        i.*,
        case when i.status = 'live' then i.total - coalesce(s.paid, 0) - coalesce(s.credited, 0) else 0 end as open,
        coalesce(s.paid, 0) as paid, coalesce(s.credited, 0) as credited,
        s.last_payment_on, s.last_applied_on, coalesce(s.left_over, 0) as left_over
    from quickbooks.invoice as i
    left join sums as s on i.id = s.invoice_id
),
decided as (
    select *,
        case
            when status = 'deleted' then 'Deleted'
            when status = 'voided' then 'Voided'
            when paid + credited > 0 and (open < 0 or (open = 0 and left_over > 0)) then 'Overpaid'
            when open = 0 and paid > 0 then 'Paid'
            when open = 0 and credited > 0 then 'Credited'
            when paid + credited > 0 then 'Partially Paid'
            when email_status = 'EmailSent' then 'Sent'
            else 'Invoiced'
        end as payment_status
    from owed
)
select
    id as invoice_id,
    doc_number,
    customer_id,
    opportunity_id,
    case when opportunity_id is not null then 'marker' end as linked_by,
    txn_date,
    due_date,
    false as due_date_imputed,
    total,
    tax,
    balance,
    currency,
    exchange_rate,
    cast(paid as decimal(18, 2)) as paid,
    cast(credited as decimal(18, 2)) as credited,
    cast(0 as decimal(18, 2)) as written_off,
    cast(open as decimal(18, 2)) as open,
    payment_status as status,
    case payment_status
        when 'Voided' then 'The invoice was voided in QuickBooks.'
        when 'Sent' then 'QuickBooks mailed the invoice; nothing is paid yet.'
        else format('{:,.2f} {} was paid, the last payment on {}; {:,.2f} {} is open.', paid, currency, strftime(last_payment_on, '%d %b %Y'), open, currency)
    end as status_reason,
    last_payment_on,
    case when status = 'live' and open <= 0 then last_applied_on end as first_paid_in_full_on,
    email_status = 'EmailSent' as emailed,
    false as disputed,
    total - paid - credited = balance as explained
from decided
order by id;

-- part: dimensions
drop schema if exists plain_reporting cascade;
create schema plain_reporting;

create table plain_reporting.owners as
select u.id as owner_id, u.name as owner, u.email, u.is_active as active, coalesce(w.deals, 0) as won_deals
from salesforce.user as u
left join (select owner_id, count(*) as deals from salesforce.opportunity where is_won and not is_deleted group by owner_id) as w
    on u.id = w.owner_id
order by owner, owner_id;

create table plain_reporting.products as
select
    p.id as product_key, p.name as product, p.id as product_id, i.id as item_id, i.fully_qualified_name as item, p.product_code as code,
    coalesce(i.sku, p.sku) as sku, p.family, i.type, a.fully_qualified_name as income_account,
    case when i.id is null then 'salesforce_only' else 'both' end as presence,
    p.is_active and coalesce(i.active, true) as active, p.is_deleted as deleted
from salesforce.product2 as p
left join quickbooks.item as i on p.product_code = i.sku
left join quickbooks.account as a on i.income_account_id = a.id
order by product, product_key;

create table plain_reporting.dates as
select
    d.date, year(d.date) as year, cast(date_trunc('quarter', d.date) as date) as quarter, quarter(d.date) as quarter_of_year,
    cast(date_trunc('month', d.date) as date) as month, month(d.date) as month_of_year, monthname(d.date) as month_name,
    last_day(d.date) as month_end, cast(date_trunc('week', d.date) as date) as week, isodow(d.date) as weekday,
    dayname(d.date) as weekday_name, isodow(d.date) <= 5 as is_business_day
from (
    select cast(unnest(generate_series(date_trunc('year', (select min(close_date) from salesforce.opportunity)),
        date_trunc('year', as_of) + interval 3 year - interval 1 day, interval 1 day)) as date) as date
    from pipeline.reporting_day
) as d
order by d.date;

create table plain_reporting.customer_records as
select id as record_id, 'salesforce' as system, id as customer_key, name, true as linked, is_deleted as deleted from salesforce.account
union all
select c.id, 'quickbooks', coalesce(m.account_id, 'qbo-' || c.id), c.display_name, m.account_id is not null, c.is_deleted
from quickbooks.customer as c
left join customers.matches as m on c.id = m.customer_id and m.outcome = 'linked';

create table plain_reporting.customers as
select
    a.id as customer_key, a.name, a.id as account_id, m.customer_id, 'both' as presence, m.outcome as match,
    m.reason as match_reason, a.record ->> '$.Industry' as segment, a.owner_id, u.name as owner, coalesce(a.billing_email, c.email) as email,
    coalesce(a.billing_city, c.billing_city) as city, coalesce(a.billing_country, c.billing_country) as country, t.name as terms,
    coalesce(c.currency, a.currency) as currency, c.balance, c.active, coalesce(d.fields, 0) as differences,
    coalesce(w.deals, 0) as won_deals, a.is_deleted as deleted
from salesforce.account as a
left join customers.matches as m on a.id = m.account_id
left join quickbooks.customer as c on m.customer_id = c.id
left join quickbooks.term as t on c.term_id = t.id
left join salesforce.user as u on a.owner_id = u.id
left join (select account_id, count(distinct field) as fields from customers.field_differences group by account_id) as d on a.id = d.account_id
left join (select account_id, count(*) as deals from salesforce.opportunity where is_won and not is_deleted group by account_id) as w
    on a.id = w.account_id;

create table plain_reporting.matches as
select
    m.account_id, m.account_name as account, m.customer_id, c.display_name as customer, m.outcome, m.method, l.method as first_method,
    m.reason, coalesce(m.score, l.score) as score, coalesce(nullif(m.evidence, '{}'), l.evidence) as evidence,
    coalesce(l.rule_version, m.rule_version) as rule_version, l.decided_by, l.decided_at, r.review_id, r.status as review_status
from customers.matches as m
left join quickbooks.customer as c on m.customer_id = c.id
left join pipeline.customer_links as l on m.account_id = l.account_id and m.customer_id = l.customer_id
left join pipeline.reviews as r on m.account_id = r.account_id
order by m.account_name, m.account_id;

-- part: versions
drop schema if exists plain_pipeline cascade;
create schema plain_pipeline;

create table plain_pipeline.deal_versions as
select
    id as opportunity_id, name, account_id, owner_id, stage_name, is_won, is_closed, close_date, amount, currency, billing_frequency,
    billing_periods, billing_start_date, payment_terms, invoice_id, invoice_number, payment_status, invoice_balance, last_payment_date,
    is_deleted, now() as valid_from, cast(null as timestamptz) as valid_to
from salesforce.opportunity;

create table plain_pipeline.invoice_versions as
select
    id as invoice_id, doc_number, status, customer_id, customer_name, opportunity_id, txn_date, due_date, total, tax, balance, currency,
    exchange_rate, term_id, email_status, is_deleted, now() as valid_from, cast(null as timestamptz) as valid_to
from quickbooks.invoice;

-- part: invoices
create table plain_reporting.invoices as
select
    i.id as invoice_id,
    i.doc_number as number,
    i.status,
    case when i.opportunity_id is not null then 'qbsf' else 'hand' end as made_by,
    m.account_id as customer_key,
    i.customer_id,
    c.display_name as customer,
    r.opportunity_id,
    o.name as deal,
    o.owner_id,
    u.name as owner,
    o.close_date as closed_on,
    i.txn_date as invoiced_on,
    i.due_date as due_on,
    i.txn_date - o.close_date as days_to_invoice,
    i.currency,
    i.exchange_rate,
    i.total,
    i.tax,
    cast(case when i.status = 'live' then i.total - i.tax else 0 end as decimal(18, 2)) as net,
    cast(case when i.status <> 'live' then 0 when i.currency = 'USD' then i.total - i.tax else round((i.total - i.tax) * i.exchange_rate, 2) end
        as decimal(18, 2)) as net_home,
    'USD' as home_currency,
    cast(o.amount as decimal(18, 2)) as deal_amount,
    cast(case when i.status = 'live' then i.total - i.tax - o.amount end as decimal(18, 2)) as difference,
    i.balance,
    r.status as payment_status,
    r.paid,
    r.credited,
    r.written_off,
    r.open,
    r.last_payment_on,
    r.first_paid_in_full_on as settled_on,
    r.disputed,
    r.emailed,
    i.bill_email as emailed_to,
    case when r.emailed then
        cast(timezone('America/Denver', cast(i.record ->> '$.DeliveryInfo.DeliveryTime' as timestamp with time zone)) as date) end as sent_on,
    o.invoice_url as link
from quickbooks.invoice as i
join plain_receivables.invoices as r on i.id = r.invoice_id
join quickbooks.customer as c on i.customer_id = c.id
left join customers.matches as m on i.customer_id = m.customer_id
left join salesforce.opportunity as o on r.opportunity_id = o.id
left join salesforce.user as u on o.owner_id = u.id;

-- part: invoice lines
create table plain_reporting.invoice_lines as
with lines as (
    select
        id as invoice_id,
        unnest(from_json(record, '{"Line":[{"Amount":"DECIMAL(18,2)","Description":"VARCHAR","DetailType":"VARCHAR",
            "SalesItemLineDetail":{"ItemRef":{"value":"VARCHAR","name":"VARCHAR"},"Qty":"DECIMAL(18,7)","UnitPrice":"DECIMAL(18,7)",
            "ServiceDate":"DATE","ClassRef":{"name":"VARCHAR"}}}]}').Line, recursive := false) as l,
        generate_subscripts(from_json(record, '{"Line":[{"Amount":"VARCHAR"}]}').Line, 1) as line
    from quickbooks.invoice
    where status = 'live'
)
select
    s.invoice_id,
    s.line,
    case when l.DetailType = 'DiscountLineDetail' then 'discount' when l.SalesItemLineDetail.ItemRef.value = 'SHIPPING_ITEM_ID' then 'shipping'
        else 'item' end as kind,
    p.product_key,
    coalesce(p.product, l.SalesItemLineDetail.ItemRef.name) as product,
    l.SalesItemLineDetail.ItemRef.value as item_id,
    l.Description as description,
    cast(l.SalesItemLineDetail.Qty as decimal(28, 10)) as quantity,
    cast(l.SalesItemLineDetail.UnitPrice as decimal(28, 10)) as unit_price,
    cast(case when l.DetailType = 'DiscountLineDetail' then -l.Amount else l.Amount end as decimal(18, 2)) as amount,
    i.currency,
    cast(case when i.currency = 'USD' then l.Amount else round(l.Amount * i.exchange_rate, 2) end as decimal(18, 2)) as amount_home,
    i.home_currency,
    l.SalesItemLineDetail.ServiceDate as service_on,
    l.SalesItemLineDetail.ClassRef.name as class,
    i.invoiced_on,
    i.customer_key,
    i.opportunity_id
from lines as s
join plain_reporting.invoices as i on s.invoice_id = i.invoice_id
left join plain_reporting.products as p on l.SalesItemLineDetail.ItemRef.value = p.item_id
where l.DetailType <> 'SubTotalLineDetail';

-- part: deals
create table plain_reporting.deals as
with billed as (
    select
        opportunity_id,
        count(*) filter (where status = 'live') as invoices,
        count(*) filter (where status <> 'live') as invoices_gone,
        sum(net) as invoiced,
        min(invoiced_on) filter (where status = 'live') as first_invoiced_on,
        min(sent_on) filter (where status = 'live') as first_sent_on,
        max(settled_on) filter (where status = 'live') as settled_on,
        count(*) filter (where status = 'live' and settled_on is null) as unsettled,
        sum(paid) filter (where status = 'live') as paid,
        sum(open) filter (where status = 'live') as open,
        string_agg(number, ', ') filter (where status = 'live') as numbers
    from plain_reporting.invoices
    where opportunity_id is not null
    group by opportunity_id
),
deals as (
    select
        *,
        cast(case when is_won then round(amount, 2) else 0 end as decimal(18, 2)) as booked
    from salesforce.opportunity
)
select
    d.id as opportunity_id,
    d.name as deal,
    case when d.is_deleted then 'deleted' when d.is_won then 'won' when d.is_closed then 'lost' else 'open' end as status,
    d.stage_name as stage,
    a.id as customer_key,
    d.account_id,
    a.name as account,
    d.owner_id,
    u.name as owner,
    cast(timezone('America/Denver', d.created_at) as date) as created_on,
    d.close_date as closed_on,
    d.currency,
    cast(round(d.amount, 2) as decimal(18, 2)) as amount,
    d.booked,
    cast(round(d.booked / r.conversion_rate, 2) as decimal(18, 2)) as booked_home,
    'USD' as home_currency,
    d.payment_terms,
    d.billing_frequency,
    d.billing_periods,
    d.contract_url,
    coalesce(b.invoices, 0) as invoices,
    coalesce(b.invoiced, 0) as invoiced,
    coalesce(b.invoices_gone, 0) as invoices_gone,
    b.first_invoiced_on,
    b.first_sent_on,
    case when b.unsettled = 0 then b.settled_on end as settled_on,
    b.paid,
    b.open,
    b.numbers,
    d.invoice_url as link
from deals as d
left join billed as b on d.id = b.opportunity_id
left join salesforce.user as u on d.owner_id = u.id
left join salesforce.account as a on d.account_id = a.id
left join salesforce.currency_type as r on d.currency = r.iso_code;

create table plain_reporting.deal_lines as
select
    l.id as line_id, l.opportunity_id, l.sort_order as position, p.product_key, coalesce(p.product, l.name) as product,
    coalesce(l.product_code, p.code) as code, p.family, l.description, l.quantity, l.unit_price, l.list_price, l.discount as discount_percent,
    cast(round(l.total_price, 2) as decimal(18, 2)) as total, d.currency, l.service_date as service_on, d.closed_on, d.status as deal_status
from salesforce.opportunity_line_item as l
join plain_reporting.deals as d on l.opportunity_id = d.opportunity_id
left join plain_reporting.products as p on l.product_id = p.product_key
where not l.is_deleted;

-- part: payments
create table plain_reporting.payments as
select
    a.application_id,
    a.applied_on,
    a.source_date as paid_on,
    a.source_type as kind,
    a.effect,
    a.source_id,
    coalesce(a.through_id, a.source_id) as payment_id,
    a.amount,
    a.currency,
    cast(case when a.currency = 'USD' then a.amount else round(a.amount * coalesce(p.exchange_rate, i.exchange_rate), 2) end as decimal(18, 2))
        as amount_home,
    'USD' as home_currency,
    a.method,
    a.reference,
    i.customer_key,
    i.customer_id,
    i.customer,
    a.invoice_id,
    i.number,
    i.total as invoice_total,
    i.payment_status as invoice_status,
    i.invoiced_on,
    i.due_on,
    a.applied_on - i.invoiced_on as days_from_invoice,
    a.applied_on - i.due_on as days_from_due,
    i.opportunity_id,
    i.deal,
    i.owner_id,
    i.owner
from plain_receivables.applications as a
join plain_reporting.invoices as i on a.invoice_id = i.invoice_id
left join quickbooks.payment as p on case when a.source_type = 'payment' then a.source_id end = p.id;

-- part: ageing
create table plain_reporting.ar_aging as
with documents as (
    select
        'invoice' as kind, invoice_id as document_id, number, customer_key, customer_id, customer, opportunity_id, deal, owner_id, owner,
        invoiced_on as dated_on, due_on, currency, total, open, exchange_rate, payment_status as status, disputed, last_payment_on, link
    from plain_reporting.invoices
    where open <> 0 and invoiced_on <= (select as_of from pipeline.reporting_day)
    union all by name
    select
        'payment' as kind, u.source_id as document_id, p.reference as number, m.account_id as customer_key, u.customer_id,
        c.display_name as customer, u.txn_date as dated_on, u.txn_date as due_on, u.currency, -u.amount as open, p.exchange_rate
    from plain_receivables.unapplied as u
    join quickbooks.payment as p on u.source_id = p.id
    join quickbooks.customer as c on u.customer_id = c.id
    left join customers.matches as m on u.customer_id = m.customer_id
)
select
    concat_ws(' ', d.kind, d.document_id, d.customer_id) as document_key, t.as_of, d.kind, d.document_id, d.number, d.customer_key,
    d.customer_id, d.customer, d.opportunity_id, d.deal, d.owner_id, d.owner, d.dated_on, d.due_on,
    greatest(t.as_of - d.due_on, 0) as days_past_due, t.as_of - d.dated_on as days_since_dated, b.bucket, b.position as bucket_position,
    d.currency, d.total, cast(d.open as decimal(18, 2)) as open,
    cast(case when d.currency = 'USD' then d.open else round(d.open * d.exchange_rate, 2) end as decimal(18, 2)) as open_home,
    'USD' as home_currency, d.status, d.disputed, d.last_payment_on, d.link
from documents as d
cross join pipeline.reporting_day as t
left join pipeline.aging_buckets as b
    on greatest(t.as_of - d.due_on, 0) between b.first_day and coalesce(b.last_day, greatest(t.as_of - d.due_on, 0));

create table plain_reporting.ar_aging_by_customer as
select
    concat_ws(' ', customer_id, currency) as row_key, as_of, customer_key, customer_id, customer, currency,
    count(*) filter (where kind = 'invoice') as invoices,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due = 0), 0) as not_due,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 1 and 30), 0) as days_1_to_30,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 31 and 60), 0) as days_31_to_60,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due between 61 and 90), 0) as days_61_to_90,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due > 90), 0) as days_over_90,
    coalesce(sum(open) filter (where kind = 'invoice'), 0) as invoiced_open,
    coalesce(sum(open) filter (where kind = 'invoice' and days_past_due > 0), 0) as past_due,
    coalesce(sum(open) filter (where kind <> 'invoice'), 0) as credits,
    sum(open) as total, sum(open_home) as total_home, home_currency,
    try_cast(round(sum(open * days_past_due) filter (where kind = 'invoice') / nullif(sum(open) filter (where kind = 'invoice'), 0), 1)
        as decimal(18, 1)) as weighted_days_past_due,
    min(due_on) filter (where kind = 'invoice') as oldest_due_on,
    coalesce(sum(open) filter (where disputed), 0) as disputed
from plain_reporting.ar_aging
group by all
order by customer, customer_id, currency;

-- part: collections
create table plain_reporting.collections as
with today as (select as_of from pipeline.reporting_day),
applied as (
    select p.currency, coalesce(p.owner_id, '') as owner_id, p.invoice_id, p.applied_on, p.amount, p.effect, p.days_from_invoice, p.days_from_due
    from plain_reporting.payments as p, today
    where p.applied_on <= today.as_of and p.invoiced_on <= today.as_of
),
owed as (
    select i.invoice_id, i.currency, coalesce(i.owner_id, '') as owner_id, i.invoiced_on, i.due_on, i.total
    from plain_reporting.invoices as i, today
    where i.invoiced_on <= today.as_of
),
movements as (
    select currency, owner_id, date_trunc('month', invoiced_on) as month, total as invoiced, 0 as credited, 0 as collected, 0 as pay, 0 as late from owed
    union all
    select
        currency, owner_id, date_trunc('month', applied_on), 0, case effect when 'credited' then amount else 0 end,
        case effect when 'paid' then amount else 0 end, case effect when 'paid' then amount * days_from_invoice else 0 end,
        case effect when 'paid' then amount * days_from_due else 0 end
    from applied
),
moved as (
    select
        case grouping(owner_id) when 1 then 'all' else 'owner' end as scope, coalesce(owner_id, '') as owner_id, currency, month,
        sum(invoiced) as invoiced, sum(credited) as credited, sum(collected) as collected, sum(pay) as pay, sum(late) as late
    from movements
    group by grouping sets ((currency, month), (currency, month, owner_id))
),
months as (
    select scope, owner_id, currency, unnest(generate_series(min(month), date_trunc('month', any_value(as_of)), interval 1 month)) as month
    from moved, today
    group by scope, owner_id, currency
),
monthly as (
    select
        m.*, cast(least(last_day(m.month), today.as_of) as date) as month_end, last_day(m.month) <= today.as_of as complete,
        least(last_day(m.month), today.as_of) - cast(m.month as date) + 1 as days,
        coalesce(v.invoiced, 0) as invoiced, coalesce(v.credited, 0) as credited, coalesce(v.collected, 0) as collected,
        coalesce(v.invoiced - v.credited, 0) as sales, v.pay, v.late,
        sum(coalesce(v.invoiced - v.credited - v.collected, 0)) over (partition by m.scope, m.owner_id, m.currency order by m.month) as ar_end
    from months as m
    left join moved as v on m.scope = v.scope and m.owner_id = v.owner_id and m.currency = v.currency and m.month = v.month
    cross join today
),
not_due as (
    select e.currency, e.owner_id, e.month, e.invoice_id, e.total - coalesce(sum(a.amount), 0) as open
    from (
        select o.*, today.as_of, unnest(generate_series(date_trunc('month', invoiced_on), date_trunc('month', least(due_on, as_of)), interval 1 month)) as month
        from owed as o, today
    ) as e
    left join applied as a on e.invoice_id = a.invoice_id and a.applied_on <= least(last_day(e.month), e.as_of)
    where least(last_day(e.month), e.as_of) <= e.due_on
    group by e.currency, e.owner_id, e.month, e.invoice_id, e.total
),
current_at as (
    select
        case grouping(owner_id) when 1 then 'all' else 'owner' end as scope, coalesce(owner_id, '') as owner_id, currency, month, sum(open) as open
    from not_due
    group by grouping sets ((currency, month), (currency, month, owner_id))
),
back as (
    select
        t.scope, t.owner_id, t.currency, t.month, t.ar_end, s.days, greatest(s.sales, 0) as sales,
        sum(greatest(s.sales, 0)) over (partition by t.scope, t.owner_id, t.currency, t.month order by s.month desc) as sales_since
    from monthly as t
    join monthly as s on t.scope = s.scope and t.owner_id = s.owner_id and t.currency = s.currency and t.month >= s.month
),
countback as (
    select
        scope, owner_id, currency, month,
        sum(case when sales_since - sales >= ar_end then 0 when sales_since <= ar_end then days else (ar_end - sales_since + sales) / sales * days end) as days
    from back
    group by all
    having max(sales_since) >= max(ar_end)
),
measured as (
    select
        m.*, coalesce(n.open, 0) as ar_not_past_due, m.ar_end - (m.sales - m.collected) as ar_begin, b.days as countback_days,
        sum(m.sales) over w as sales_3, sum(m.days) over w as days_3
    from monthly as m
    left join current_at as n on m.scope = n.scope and m.owner_id = n.owner_id and m.currency = n.currency and m.month = n.month
    left join countback as b on m.scope = b.scope and m.owner_id = b.owner_id and m.currency = b.currency and m.month = b.month
    window w as (partition by m.scope, m.owner_id, m.currency order by m.month rows between 2 preceding and current row)
)
select
    concat_ws(' ', strftime(m.month, '%Y-%m'), m.scope, nullif(m.owner_id, ''), m.currency) as row_key, cast(m.month as date) as month, m.scope,
    nullif(m.owner_id, '') as owner_id, u.name as owner, m.currency, m.month_end, m.complete, m.ar_begin, m.invoiced, m.credited,
    cast(0 as decimal(38, 2)) as written_off, m.collected, m.ar_end, m.ar_not_past_due, m.sales,
    case when m.sales_3 > 0 then try_cast(round(m.ar_end / m.sales_3 * m.days_3, 1) as decimal(18, 1)) end as dso_simple,
    case when m.sales_3 > 0 then try_cast(round(m.ar_not_past_due / m.sales_3 * m.days_3, 1) as decimal(18, 1)) end as dso_best_possible,
    case when m.sales_3 > 0 then try_cast(round((m.ar_end - m.ar_not_past_due) / m.sales_3 * m.days_3, 1) as decimal(18, 1)) end as days_delinquent,
    try_cast(round(m.countback_days, 1) as decimal(18, 1)) as dso_countback,
    case when m.ar_begin + m.sales - m.ar_not_past_due > 0
        then try_cast(round((m.ar_begin + m.sales - m.ar_end) / (m.ar_begin + m.sales - m.ar_not_past_due) * 100, 1) as decimal(18, 1)) end as cei_percent,
    try_cast(round(m.pay / nullif(m.collected, 0), 1) as decimal(18, 1)) as avg_days_to_pay,
    try_cast(round(m.late / nullif(m.collected, 0), 1) as decimal(18, 1)) as avg_days_late
from measured as m
left join salesforce.user as u on m.owner_id = u.id
order by m.month desc, m.scope, m.currency, owner, m.owner_id;

-- part: measures
create table plain_reporting.bookings_and_billings as
with movements as (
    select 'booked' as what, closed_on as moved_on, customer_key, owner_id, currency, booked as amount, booked_home as amount_home
    from plain_reporting.deals where status = 'won'
    union all
    select 'invoiced', invoiced_on, customer_key, owner_id, currency, net, net_home from plain_reporting.invoices where status = 'live'
    union all
    select 'received', paid_on, customer_key, owner_id, currency, amount, amount_home from plain_reporting.payments where effect = 'paid'
    union all
    select 'received', u.txn_date, m.account_id, null, u.currency, u.amount,
        case when u.currency = 'USD' then u.amount else round(p.total * p.exchange_rate, 2) - coalesce(a.amount_home, 0) end
    from plain_receivables.unapplied as u
    join quickbooks.payment as p on u.source_id = p.id
    left join (select source_id, sum(amount_home) as amount_home from plain_reporting.payments group by source_id) as a on p.id = a.source_id
    left join customers.matches as m on u.customer_id = m.customer_id
    union all
    select 'credited', c.txn_date, m.account_id, s.owner_id, c.currency,
        c.total - coalesce(try_cast(c.record ->> '$.TxnTaxDetail.TotalTax' as decimal(18, 2)), 0),
        case when c.currency = 'USD' then c.total else round(c.total * try_cast(c.record ->> '$.ExchangeRate' as decimal(28, 10)), 2) end
    from quickbooks.credit_memo as c
    left join customers.matches as m on c.customer_id = m.customer_id
    left join (select source_id, max(owner_id) as owner_id from plain_reporting.payments where kind = 'credit_memo' group by source_id) as s
        on c.id = s.source_id
    where not c.is_deleted
),
summed as (
    select
        cast(date_trunc('month', moved_on) as date) as month, customer_key, owner_id, currency,
        count(*) filter (where what = 'booked') as deals,
        coalesce(sum(amount) filter (where what = 'booked'), 0) as booked,
        count(*) filter (where what = 'invoiced') as invoices,
        coalesce(sum(amount) filter (where what = 'invoiced'), 0) as invoiced,
        coalesce(sum(amount) filter (where what = 'credited'), 0) as credited,
        coalesce(sum(amount) filter (where what = 'received'), 0) as received,
        coalesce(sum(amount_home) filter (where what = 'booked'), 0) as booked_home,
        coalesce(sum(amount_home) filter (where what = 'received'), 0) as cash_home
    from movements
    group by all
)
select
    concat_ws(' ', strftime(s.month, '%Y-%m'), coalesce(s.customer_key, '-'), coalesce(s.owner_id, '-'), s.currency) as row_key,
    s.month, s.customer_key, c.name as customer, c.segment, s.owner_id, u.owner, s.currency, s.deals, s.booked, s.invoices, s.invoiced, s.credited,
    s.invoiced - s.credited as billed, s.received, cast(0 as decimal(38, 2)) as refunded, s.received as cash, s.booked_home, s.cash_home, 'USD' as home_currency
from summed as s
left join plain_reporting.customers as c on s.customer_key = c.customer_key
left join plain_reporting.owners as u on s.owner_id = u.owner_id;

create table plain_reporting.product_sales as
with sold as (select * from plain_reporting.deal_lines where deal_status = 'won'),
movements as (
    select closed_on as moved_on, product_key, currency, opportunity_id, null as invoice_id, quantity, total as booked, 0 as invoiced from sold
    union all
    select d.closed_on, null, d.currency, d.opportunity_id, null, null, d.booked - coalesce(l.amount, 0), 0
    from plain_reporting.deals as d
    left join (select opportunity_id, sum(total) as amount from sold group by opportunity_id) as l on d.opportunity_id = l.opportunity_id
    where d.status = 'won' and d.booked <> coalesce(l.amount, 0)
    union all
    select invoiced_on, product_key, currency, null, invoice_id, quantity, 0, amount from plain_reporting.invoice_lines
    union all
    select i.invoiced_on, null, i.currency, null, i.invoice_id, null, 0, i.net - coalesce(b.amount, 0)
    from plain_reporting.invoices as i
    left join (select invoice_id, sum(amount) as amount from plain_reporting.invoice_lines group by invoice_id) as b on i.invoice_id = b.invoice_id
    where i.status = 'live' and i.net <> coalesce(b.amount, 0)
)
select
    concat_ws(' ', strftime(date_trunc('month', m.moved_on), '%Y-%m'), coalesce(m.product_key, '-'), m.currency) as row_key,
    cast(date_trunc('month', m.moved_on) as date) as month, m.product_key, p.product, p.family, m.currency,
    count(distinct m.opportunity_id) as deals, sum(m.quantity) filter (where m.opportunity_id is not null) as booked_quantity, sum(m.booked) as booked,
    count(distinct m.invoice_id) as invoices, sum(m.quantity) filter (where m.invoice_id is not null) as invoiced_quantity, sum(m.invoiced) as invoiced
from movements as m
left join plain_reporting.products as p on m.product_key = p.product_key
group by all
order by month desc, p.product, m.product_key, m.currency;

create table plain_reporting.recurring_revenue as
with today as (select as_of from pipeline.reporting_day),
contracts as (
    select d.customer_key, l.currency, l.monthly_amount as mrr, l.covers_from as recurring_from, l.covers_to as recurring_until
    from invoices.billing_schedule_lines as l
    join plain_reporting.deals as d on l.opportunity_id = d.opportunity_id
    where l.status = 'active' and l.in_force_to is null and l.monthly_amount <> 0
),
begun as (select customer_key, currency, min(recurring_from) as first_on from contracts group by all),
running as (
    select customer_key, currency, month, sum(mrr) as mrr, count(*) as deals
    from (
        select c.*, as_of, cast(unnest(generate_series(date_trunc('month', recurring_from),
            least(date_trunc('month', recurring_until), date_trunc('month', as_of)), interval 1 month)) as date) as month
        from contracts as c, today
    )
    where least(last_day(month), as_of) between recurring_from and recurring_until
    group by all
),
months as (
    select customer_key, currency, month from running
    union
    select customer_key, currency, cast(month + interval 1 month as date) from running, today where month < date_trunc('month', as_of)
),
compared as (
    select m.customer_key, m.currency, m.month, coalesce(n.deals, 0) as deals, coalesce(b.mrr, 0) as mrr_begin, coalesce(n.mrr, 0) as mrr_end
    from months as m
    left join running as n on m.customer_key = n.customer_key and m.currency = n.currency and m.month = n.month
    left join running as b on m.customer_key = b.customer_key and m.currency = b.currency and m.month = b.month + interval 1 month
)
select
    concat_ws(' ', strftime(m.month, '%Y-%m'), m.customer_key, m.currency) as row_key, m.month, last_day(m.month) <= today.as_of as complete,
    m.customer_key, c.name as customer, c.segment, m.currency, m.deals, m.mrr_begin,
    case when m.mrr_begin = 0 and b.first_on >= m.month then m.mrr_end else 0 end as new_mrr,
    case when m.mrr_begin = 0 and b.first_on < m.month then m.mrr_end else 0 end as reactivation,
    case when m.mrr_begin <> 0 and m.mrr_end <> 0 then greatest(m.mrr_end - m.mrr_begin, 0) else 0 end as expansion,
    case when m.mrr_begin <> 0 and m.mrr_end <> 0 then greatest(m.mrr_begin - m.mrr_end, 0) else 0 end as contraction,
    case when m.mrr_begin <> 0 and m.mrr_end = 0 then m.mrr_begin else 0 end as churn, m.mrr_end, 12 * m.mrr_end as arr
from compared as m
join begun as b on m.customer_key = b.customer_key and m.currency = b.currency
left join plain_reporting.customers as c on m.customer_key = c.customer_key
cross join today;

create table plain_reporting.revenue_leakage as
select
    d.opportunity_id, d.deal, d.customer_key, d.account, d.owner_id, d.owner, d.closed_on, t.as_of - d.closed_on as days_since_won, d.currency,
    d.amount, d.booked_home as amount_home, d.home_currency, case x.outcome when 'invoiced' then 'voided' else x.outcome end as cause,
    coalesce(r.reason, x.detail) as explanation, r.remedy, d.link
from plain_reporting.deals as d
left join invoices.deals as x on d.opportunity_id = x.opportunity_id
left join (
    select opportunity_id, string_agg(reason, ' ' order by position) as reason, string_agg(remedy, ' ' order by position) as remedy
    from invoices.refusals group by opportunity_id
) as r on d.opportunity_id = r.opportunity_id
cross join pipeline.reporting_day as t
where d.status = 'won' and d.invoices = 0 and d.amount > 0;

-- part: month end
drop schema if exists plain_reconciliation cascade;
create schema plain_reconciliation;

create temp table case_document as
select
    'deal:' || o.id as case_key, 'deal' as kind, o.id as document_id, o.name as number, o.close_date as dated_on, 'won' as status,
    cast(round(o.amount, 2) as decimal(18, 2)) as amount, o.currency, true as counts, o.id as opportunity_id, cast(null as varchar) as invoice_id,
    cast(null as varchar) as customer_id
from salesforce.opportunity as o
where o.is_won and not o.is_deleted
union all
select
    coalesce('deal:' || r.opportunity_id, 'invoice:' || r.invoice_id), 'invoice', r.invoice_id, r.doc_number, r.txn_date,
    case r.status when 'Voided' then 'voided' when 'Deleted' then 'deleted' else 'live' end, r.total - r.tax, r.currency,
    r.status not in ('Voided', 'Deleted'), r.opportunity_id, r.invoice_id, r.customer_id
from plain_receivables.invoices as r
union all
select
    coalesce('deal:' || r.opportunity_id, 'invoice:' || r.invoice_id, 'credit_memo:' || c.id), 'credit_memo', c.id, c.doc_number, c.txn_date, 'live',
    coalesce(try_cast(c.record ->> '$.TxnTaxDetail.TotalTax' as decimal(18, 2)), 0) - c.total, c.currency, true, r.opportunity_id, null, c.customer_id
from quickbooks.credit_memo as c
left join (select source_id, max(invoice_id) as invoice_id from plain_receivables.applications where source_type = 'credit_memo' group by source_id) as a
    on c.id = a.source_id
left join plain_receivables.invoices as r on a.invoice_id = r.invoice_id
where not c.is_deleted;

create temp table case_fact as
select
    d.case_key, any_value(d.opportunity_id) as opportunity_id,
    min(d.dated_on) filter (where d.kind = 'deal') as closed_on,
    max(d.amount) filter (where d.kind = 'deal') as deal_amount,
    max(d.currency) filter (where d.kind = 'deal') as deal_currency,
    max(d.currency) filter (where d.kind = 'invoice' and d.counts) as billed_in,
    coalesce(sum(d.amount) filter (where d.kind = 'invoice' and d.counts), 0) as invoiced,
    coalesce(-sum(d.amount) filter (where d.kind = 'credit_memo'), 0) as credited,
    coalesce(sum(d.amount) filter (where d.kind <> 'deal' and d.counts), 0) as billed,
    count(*) filter (where d.kind = 'invoice' and d.counts) as live,
    count(*) filter (where d.status = 'voided') as voided,
    count(*) filter (where d.status = 'deleted') as deleted,
    count(distinct d.amount) filter (where d.kind = 'invoice' and d.counts) as amounts,
    min(d.dated_on) filter (where d.kind = 'invoice') as invoiced_on,
    max(d.dated_on) filter (where d.kind = 'invoice') as last_invoiced_on,
    min(date_trunc('month', d.dated_on)) filter (where d.counts) as first_month,
    max(date_trunc('month', d.dated_on)) filter (where d.counts) as last_month,
    min(d.dated_on) filter (where d.kind = 'credit_memo') as credited_on,
    string_agg(d.invoice_id, ', ' order by d.dated_on, d.invoice_id) as invoice_ids,
    string_agg(d.number, ', ' order by d.dated_on, d.invoice_id) filter (where d.kind = 'invoice') as numbers,
    string_agg(d.number, ', ') filter (where d.kind = 'credit_memo') as memos,
    arg_min(d.invoice_id, d.dated_on) as first_invoice_id, max(d.customer_id) as customer_id
from case_document as d
group by d.case_key;

create temp table case_class as
with ledger as (
    select
        opportunity_id, sum(amount) filter (where status = 'done') as billed_by_us,
        count(*) filter (where key like '%:2') as again
    from pipeline.ledger where operation = 'create_invoice' group by opportunity_id
),
known as (
    select
        f.*, o.name as deal, o.owner_id, u.name as owner, o.account_id, a.name as account, c.display_name as customer,
        coalesce(o.billing_frequency, 'One-Time') <> 'One-Time' as recurs, o.billing_periods, o.source_modified_at, l.billed_by_us, l.again, r.reason,
        r.remedy, r.code, m.customer_id as account_customer_id, coalesce(f.customer_id, m.customer_id) as shown_customer_id,
        greatest(0.05, 0.01 * f.live) as rounding, greatest(1.00, f.deal_amount * 0.005) as tolerance
    from case_fact as f
    left join salesforce.opportunity as o on f.opportunity_id = o.id
    left join salesforce.user as u on o.owner_id = u.id
    left join salesforce.account as a on o.account_id = a.id
    left join customers.matches as m on o.account_id = m.account_id
    left join quickbooks.customer as c on coalesce(f.customer_id, m.customer_id) = c.id
    left join ledger as l on f.opportunity_id = l.opportunity_id
    left join (select opportunity_id, min(code) as code, string_agg(reason, ' ') as reason, string_agg(remedy, ' ') as remedy from invoices.refusals group by all) as r
        on f.opportunity_id = r.opportunity_id
)
select
    *,
    case
        when live = 0 and voided > 0 then 'voided'
        when live = 0 and deleted > 0 then 'deleted'
        when closed_on is null and opportunity_id is not null then 'deal_reopened'
        when closed_on is null then 'invoice_without_deal'
        when live = 0 and reason is not null then 'not_invoiced'
        when shown_customer_id <> account_customer_id then 'customer_mismatch'
        when again > 0 and not recurs and billed - deal_amount > rounding then 'billed_again'
        when live > amounts and billed - deal_amount > tolerance and not recurs then 'duplicate_invoice'
        when billed_in <> deal_currency then 'unexplained'
        when billed = deal_amount and first_month = last_month then 'matched'
        when abs(billed - deal_amount) <= rounding and first_month = last_month then 'rounding'
        when credited > 0 and abs(invoiced - deal_amount) <= tolerance then 'credited'
        when abs(billed - deal_amount) <= rounding and first_month < date_trunc('month', closed_on) then 'invoiced_in_advance'
        when abs(billed - deal_amount) <= rounding then 'invoiced_later'
        when billed > 0 and billed < deal_amount - rounding and (recurs or live > 1) then 'partly_invoiced'
        when abs(invoiced - billed_by_us) <= rounding then 'amount_changed_in_salesforce'
        when billed_by_us is not null then 'amount_changed_in_quickbooks'
        else 'unexplained'
    end as class
from known;

create temp table class_position as
select unnest as class, generate_subscripts as position
from (select unnest(l), generate_subscripts(l, 1) from (select ['voided', 'deleted', 'deal_reopened', 'invoice_without_deal', 'before_go_live',
    'not_invoiced', 'customer_mismatch', 'duplicate_invoice', 'billed_again', 'foreign_exchange', 'written_off', 'matched', 'rounding', 'credited',
    'invoiced_in_advance', 'invoiced_later', 'tax_included', 'discount', 'fees', 'partly_invoiced', 'line_changed',
    'amount_changed_in_salesforce', 'amount_changed_in_quickbooks', 'unexplained'] as l)) as t(unnest, generate_subscripts);

create table plain_reconciliation.cases as
with months as (
    select
        case_key, cast(date_trunc('month', dated_on) as date) as month, currency,
        coalesce(sum(amount) filter (where kind = 'deal'), 0) as won,
        coalesce(sum(amount) filter (where kind <> 'deal' and counts), 0) as invoiced,
        count(*) filter (where kind = 'credit_memo') as memos
    from case_document
    where dated_on between date '2024-04-01' and date '2026-03-31'
    group by all
),
shown as (
    select
        m.*, k.* exclude (case_key, invoiced, class),
        -- Where deal and invoice are of one month, and only the credit memo of another, nothing differs.
        case when k.class = 'credited' and m.memos = 0 and m.won = m.invoiced then 'matched'
            when k.class = 'credited' and m.memos = 0 and k.opportunity_id is not null then 'invoiced_later' else k.class end as class
    from months as m
    join case_class as k on m.case_key = k.case_key
)
select
    s.month, s.currency, s.case_key, s.class, p.position, s.opportunity_id, s.deal, s.owner_id, s.owner, s.account_id, s.account,
    s.shown_customer_id as customer_id, s.customer, s.closed_on, s.invoiced_on, s.invoice_ids, s.numbers,
    case when s.currency = s.deal_currency then s.deal_amount end as deal_amount,
    cast(case when s.billed_in <> s.currency then 0 else s.billed end as decimal(18, 2)) as billed,
    cast(s.won as decimal(18, 2)) as won,
    cast(s.invoiced as decimal(18, 2)) as invoiced,
    cast(s.won - s.invoiced as decimal(18, 2)) as difference,
    s.class <> 'unexplained' as explained,
    case s.class when 'not_invoiced' then s.code when 'invoice_without_deal' then 'made_by_hand' when 'partly_invoiced' then 'recurring'
        when 'invoiced_later' then 'late' when 'unexplained' then 'off_the_rate' end as cause,
    case s.class
        when 'matched' then format('Invoice {} bills the whole deal: {:,.2f} {}.', s.numbers, s.deal_amount, s.currency)
        when 'voided' then format('Invoice {} was voided in QuickBooks. Won {:,.2f} {}.', s.numbers, s.deal_amount, s.currency)
        when 'invoice_without_deal' then format('Invoice {} to {} of {} over {:,.2f} {} is linked to no deal. Link it to its deal, or accept it.',
            s.numbers, s.customer, strftime(s.invoiced_on, '%d %b %Y'), s.billed, s.currency)
        when 'not_invoiced' then format('{:,.2f} {} won on {} is not invoiced: {} {}', s.deal_amount, s.currency, strftime(s.closed_on, '%d %b %Y'),
            s.reason, s.remedy)
        when 'credited' then format('The credit memo {} of {} took {:,.2f} {} off invoice {}. Won {:,.2f}, invoiced {:,.2f} after that.', s.memos,
            strftime(s.credited_on, '%d %b %Y'), s.credited, s.currency, s.numbers, s.deal_amount, s.billed)
        when 'invoiced_later' then format('Won on {} and invoiced on {} with invoice {}.', strftime(s.closed_on, '%d %b %Y'),
            strftime(s.last_invoiced_on, '%d %b %Y'), s.numbers)
        when 'partly_invoiced' then format('The deal is billed in parts: {:,.2f} {} of {:,.2f} {} is billed so far.', s.billed, s.currency, s.deal_amount,
            s.currency)
        else format('Won {:,.2f} {}, invoiced {:,.2f} with {}.', s.deal_amount, s.currency, s.billed, s.numbers)
    end as explanation,
    case when s.class in ('not_invoiced', 'amount_changed_in_salesforce') then 'sales'
        when s.class in ('voided', 'invoice_without_deal', 'billed_again', 'unexplained') then 'finance' else 'nobody' end as acts,
    case s.class when 'matched' then null when 'not_invoiced' then s.closed_on when 'credited' then s.credited_on
        when 'invoiced_later' then s.closed_on when 'billed_again' then s.last_invoiced_on else s.invoiced_on end as since,
    'https://acme.my.salesforce.com/' || s.opportunity_id as deal_link,
    'https://app.qbo.intuit.com/app/invoice?txnId=' || s.first_invoice_id as invoice_link,
    concat_ws(' ', s.class, s.currency, s.won, s.invoiced, s.deal_amount, s.billed) as amounts
from shown as s
join class_position as p on s.class = p.class;

create table plain_reconciliation.documents as
select
    c.month, c.currency, c.case_key, d.kind, d.document_id, d.number, d.dated_on, d.status, d.amount,
    d.counts and cast(date_trunc('month', d.dated_on) as date) = c.month as counted
from case_document as d
join plain_reconciliation.cases as c on d.case_key = c.case_key and d.currency = c.currency;

create table plain_reconciliation.bridge as
select month, currency, position, class, explained, count(*) as cases, cast(sum(difference) as decimal(18, 2)) as amount
from plain_reconciliation.cases
group by all
order by month, currency, position;

create table plain_reconciliation.totals as
select
    c.month, c.currency, cast(sum(c.won) as decimal(18, 2)) as won, cast(sum(c.invoiced) as decimal(18, 2)) as invoiced,
    cast(coalesce(sum(c.difference) filter (where c.explained), 0) as decimal(18, 2)) as explained,
    cast(coalesce(sum(c.difference) filter (where not c.explained), 0) as decimal(18, 2)) as unexplained,
    count(*) filter (where not c.explained) as unexplained_cases, any_value(n.deals) as deals, any_value(n.invoices) as invoices, count(*) as cases,
    count(*) filter (where c.class not in ('matched', 'rounding')) as differences
from plain_reconciliation.cases as c
join (
    select month, currency, count(*) filter (where counted and kind = 'deal') as deals, count(*) filter (where counted and kind = 'invoice') as invoices
    from plain_reconciliation.documents group by all
) as n on c.month = n.month and c.currency = n.currency
group by c.month, c.currency
order by c.month, c.currency;
