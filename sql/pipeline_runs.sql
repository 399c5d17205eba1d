-- reporting.pipeline_runs (view)
-- A row is one run of the pipeline: a pass over both systems, or a push of what was pending. A run is made of steps; a step that
-- was killed belongs to no run and stands alone as interrupted, as does one that is under way. Instants are UTC.
--
-- @key: run_key
-- @required: run_key, begun_at, outcome
-- @values: outcome in done, failed, interrupted
--
-- run_key: Dagster's id of the run, or step- and a number for a step without one
-- run_id: Dagster's id of the run, as in its UI
-- begun_at: when its first step began
-- ended_at: when its last step ended; null where it did not
-- seconds: from begun_at to ended_at
-- flows: flows whose steps are in it, in alphabetical order
-- steps: what was done, in order: flow and step
-- mode: sandbox, dry_run, approve or live
-- outcome: done, failed (a step ended with an error), or interrupted (killed, or under way when this was copied)
-- changed: records that the pulls found new or changed; null where nothing was pulled
-- salesforce_calls: calls to Salesforce
-- quickbooks_calls: calls to QuickBooks
-- slack_calls: calls to Slack
with calls as (
    select
        pass_id,
        unnest(json_keys(api_calls)) as name,
        unnest(cast(json_extract(api_calls, '$.*') as bigint[])) as calls
    from pipeline.passes
),

counted as (
    select
        pass_id,
        sum(calls) filter (where starts_with(name, 'salesforce.')) as to_salesforce,
        sum(calls) filter (where starts_with(name, 'quickbooks.')) as to_quickbooks,
        sum(calls) filter (where starts_with(name, 'slack.')) as to_slack
    from calls
    group by pass_id
),

steps as (
    select
        coalesce(p.run_id, 'step-' || p.pass_id) as run_key,
        p.*,
        c.to_salesforce,
        c.to_quickbooks,
        c.to_slack
    from pipeline.passes as p
    left join counted as c on p.pass_id = c.pass_id
)

select
    run_key,
    max(run_id) as run_id,
    min(begun_at) as begun_at,
    case when count(*) = count(ended_at) then max(ended_at) end as ended_at,
    case when count(*) = count(ended_at) then cast(epoch(max(ended_at) - min(begun_at)) as decimal(18, 1)) end as seconds,
    string_agg(distinct flow, ', ' order by flow) as flows,
    string_agg(flow || ' ' || step, ', ' order by pass_id) as steps,
    max(mode) as mode,
    case
        when bool_or(outcome = 'failed') then 'failed'
        when count(*) = count(ended_at) then 'done'
        else 'interrupted'
    end as outcome,
    sum(try_cast(json_extract_string(counts, '$.changed') as bigint)) as changed,
    cast(coalesce(sum(to_salesforce), 0) as bigint) as salesforce_calls,
    cast(coalesce(sum(to_quickbooks), 0) as bigint) as quickbooks_calls,
    cast(coalesce(sum(to_slack), 0) as bigint) as slack_calls
from steps
group by run_key
order by begun_at desc, run_key
