-- The work areas of ended jobs.

-- clearable_jobs
-- Ended jobs whose work area is to be cleared.
SELECT job_id FROM app.jobs WHERE clear_at <= clock_timestamp() ORDER BY clear_at LIMIT %(limit)s;

-- begin_clearing
-- kept -> gone is committed before anything is deleted, so that a retry cannot run into it. Cleared once more after
-- 15 minutes, for what a late worker may have left, and every 15 minutes until that went well.
UPDATE app.jobs AS j SET work_area = 'gone', clear_at = clock_timestamp() + interval '15 minutes'
FROM (
    SELECT job_id, work_area FROM app.jobs
    WHERE job_id = %(job_id)s AND clear_at <= clock_timestamp() AND status NOT IN ('queued', 'processing')
    FOR NO KEY UPDATE
) AS before
WHERE j.job_id = before.job_id
RETURNING before.work_area;

-- end_clearing
-- Nothing is left to delete.
UPDATE app.jobs SET clear_at = NULL WHERE job_id = %(job_id)s AND work_area = 'gone';

-- work_tables
-- Tables of a job in the work schema.
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p') AND starts_with(c.relname, %(prefix)s)
ORDER BY c.relname;

-- wait_briefly
-- What is cleared may still be written to by a worker that does not know yet that its task was cancelled.
SET LOCAL lock_timeout = '5s';

-- drop_work_table
-- Only ever a table of the work schema.
DROP TABLE IF EXISTS {table};
