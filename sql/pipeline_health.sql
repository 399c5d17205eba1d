-- reporting.pipeline_health (view)
-- A row is one thing that an operator watches: how fresh a source table is, how many writes are in which state, what waits
-- for a person, and what does not hold in the tables of reporting. Counts are records; instants are UTC.
--
-- @key: area, name, state
-- @required: area, name, state, attention
-- @values: area in source, writes, failures, reviews, checks
--
-- area: source, writes, failures, reviews or checks
-- name: table, kind of write, kind of failure, or table and check
-- state: ok, or what is the matter
-- records: how many records are in this state; for checks, how many break the rule
-- since: last read of a source, when a check was made, or since when the oldest record is in this state
-- attention: whether a person has something to do
select
    'source' as area,
    table_name as name,
    case when rows_lost > 0 then 'lost ' || rows_lost || ' rows' else 'ok' end as state,
    rows_live as records,
    pulled_at as since,
    coalesce(rows_lost > 0, false) as attention
from pipeline.watermarks
union all by name
select
    'writes' as area,
    operation as name,
    status as state,
    count(*) as records,
    min(updated_at) as since,
    status = 'dead' as attention
from pipeline.ledger
group by operation, status
union all by name
select
    'failures' as area,
    kind as name,
    status as state,
    count(*) as records,
    min(first_seen_at) as since,
    status = 'open' as attention
from pipeline.failures
group by kind, status
union all by name
select
    'reviews' as area,
    'customer match' as name,
    status as state,
    count(*) as records,
    min(opened_at) as since,
    status = 'open' as attention
from pipeline.reviews
group by status
union all by name
select
    'checks' as area,
    table_name || ' ' || check_name as name,
    case when passed then 'ok' else finding end as state,
    broken as records,
    checked_at as since,
    not passed as attention
from pipeline.table_checks
order by area, name, state
