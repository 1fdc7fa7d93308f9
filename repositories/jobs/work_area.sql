-- The work areas of ended jobs.

-- clearable_jobs
-- Return ended jobs whose work area is due to be cleared.
SELECT job_id FROM app.jobs WHERE clear_at <= clock_timestamp() ORDER BY clear_at LIMIT %(limit)s;

-- begin_clearing
-- kept -> gone, committed before anything is deleted, so that no retry finds half of it. It is cleared again after 15
-- minutes, for what a late worker may have left, and every 15 minutes until that succeeds.
UPDATE app.jobs AS j SET work_area = 'gone', clear_at = clock_timestamp() + interval '15 minutes'
FROM (
    SELECT job_id, work_area FROM app.jobs
    WHERE job_id = %(job_id)s AND clear_at <= clock_timestamp() AND status NOT IN ('queued', 'processing')
    FOR NO KEY UPDATE
) AS before
WHERE j.job_id = before.job_id
RETURNING before.work_area;

-- end_clearing
-- Note that nothing is left to delete.
UPDATE app.jobs SET clear_at = NULL WHERE job_id = %(job_id)s AND work_area = 'gone';

-- work_tables
-- Return the tables of a job in the work schema.
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND starts_with(c.relname, %(prefix)s)
ORDER BY c.relname;

-- wait_briefly
-- Limit the wait for locks: a worker that does not know yet that its task was cancelled may still write to the tables.
SET LOCAL lock_timeout = '5s';

-- drop_work_table
-- Drop a table of the work schema.
DROP TABLE IF EXISTS {table};
