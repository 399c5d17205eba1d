-- part: nothing
select 1;
