-- reporting.api_usage (view)
-- A row is one kind of call to one service on one day: how many HTTP requests were sent, retries included, also in runs that
-- failed. Days are those of the company, from the begin of the step. What a killed step had sent is not known.
--
-- @key: called_on, service, kind
-- @required: called_on, service, kind, calls
-- @values: service in salesforce, quickbooks, slack
--
-- called_on: day of the company
-- service: salesforce, quickbooks or slack
-- kind: kind of call, such as query, cdc, batch, send or chat.postMessage
-- calls: HTTP requests
-- steps: steps that made them
with zone as (select coalesce(max(time_zone), 'UTC') as time_zone from pipeline.reporting_day),

calls as (
    select
        cast(p.begun_at at time zone zone.time_zone as date) as called_on,
        unnest(json_keys(p.api_calls)) as name,
        unnest(cast(json_extract(p.api_calls, '$.*') as bigint[])) as calls
    from pipeline.passes as p
    cross join zone
)

select
    called_on,
    split_part(name, '.', 1) as service,
    substr(name, strpos(name, '.') + 1) as kind,
    cast(sum(calls) as bigint) as calls,
    count(*) as steps
from calls
group by called_on, split_part(name, '.', 1), substr(name, strpos(name, '.') + 1)
order by called_on desc, service, kind
