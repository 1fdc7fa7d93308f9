-- What the sweep looks for, and what it does with it.

-- begin_sweep
-- Begin a sweep; no row: one began within the period. `idle` is the time since the one before, in seconds.
UPDATE app.sweep SET swept_at = clock_timestamp()
FROM (SELECT swept_at FROM app.sweep FOR UPDATE) AS before
WHERE sweep.swept_at < clock_timestamp() - %(period)s
RETURNING extract(epoch FROM sweep.swept_at - before.swept_at)::float8 AS idle;

-- sweep_age
-- Return the seconds since the last sweep began.
SELECT extract(epoch FROM clock_timestamp() - swept_at)::float8 AS age FROM app.sweep;

-- due_jobs
-- Return jobs whose current stage was not started and whose message is due again. The time between sends doubles, up
-- to ten times the first.
UPDATE app.jobs AS j
SET sends = j.sends + 1, updated_at = clock_timestamp(),
    resend_at = clock_timestamp() + %(resend_after)s * least(power(2, least(j.sends, 10)), 10)
FROM (
    SELECT job_id FROM app.jobs
    WHERE status IN ('queued', 'processing') AND stage_tasks IS NULL AND resend_at <= clock_timestamp()
    ORDER BY resend_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE j.job_id = due.job_id
RETURNING j.job_id, j.current_stage_n;

-- due_tasks
-- Return queued tasks whose message is due again. The time between sends doubles, up to 15 minutes: the first is shorter
-- than the ten minutes for which the platform hides a dead worker's message, and longer than a short queue takes. A task
-- that has waited for 15 minutes is `late`.
UPDATE app.tasks AS t
SET sends = t.sends + 1,
    resend_at = clock_timestamp() + least(%(resend_after)s * power(2, least(t.sends, 10)), interval '15 minutes')
FROM (
    SELECT task_id FROM app.tasks
    WHERE status = 'queued' AND resend_at <= clock_timestamp()
    ORDER BY resend_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE t.task_id = due.task_id
RETURNING t.task_id, t.queue, t.updated_at < clock_timestamp() - interval '15 minutes' AS late;

-- open_tasks_by_queue
-- Count queued and running tasks: a queue with fewer messages than these has lost some.
SELECT queue, count(*) AS tasks FROM app.tasks WHERE status IN ('queued', 'processing') GROUP BY queue;

-- expired_tasks
-- Return running tasks whose worker stopped renewing the lease.
SELECT * FROM app.tasks WHERE status = 'processing' AND lease_until < clock_timestamp()
ORDER BY lease_until LIMIT %(limit)s;

-- take_back_task
-- processing -> queued, because the worker is gone. With the attempt that was seen, so that a new claim is left alone.
UPDATE app.tasks
SET status = 'queued', lease_until = NULL, tries = tries - 1, deaths = deaths + 1, error = %(error)s,
    not_before = clock_timestamp(), resend_at = clock_timestamp() + %(resend_after)s, updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
  AND lease_until < clock_timestamp() AND deaths + 1 < max_deaths
RETURNING *;

-- overdue_jobs
-- Return open jobs past their deadline.
SELECT * FROM app.jobs WHERE status IN ('queued', 'processing') AND deadline_at < clock_timestamp()
ORDER BY deadline_at LIMIT %(limit)s;

-- stalled_jobs
-- Return jobs whose stage was started and has no open task left to end it; there should be none.
SELECT j.job_id, j.current_stage_n FROM app.jobs AS j
WHERE j.status = 'processing' AND j.stage_tasks IS NOT NULL AND NOT EXISTS (
    SELECT FROM app.tasks AS t
    WHERE t.job_id = j.job_id AND t.stage_n = j.current_stage_n AND t.status IN ('queued', 'processing'))
LIMIT %(limit)s;
