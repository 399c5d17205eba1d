-- reporting.metric_definitions
-- A row is one measure: a column of a reporting table that is computed by a formula, with the formula in words and its source.
--
-- @key: table_name, metric
-- @required: metric, table_name, definition, source
--
-- metric: column of the reporting table
-- table_name: the table in schema reporting
-- meaning: what the column says, as in its comment
-- definition: formula and edge rules in words
-- unit: unit of the values; null where the definition says it
-- source: where the definition comes from
select metric, table_name, meaning, definition, unit, source
from pipeline.metric_definitions
order by table_name, metric
