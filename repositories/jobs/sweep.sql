-- What the sweep looks for, and what it does about it.

-- begin_sweep
-- One sweep per period, whoever comes first; `idle` is the time since the one before, in seconds.
UPDATE app.sweep SET swept_at = clock_timestamp()
FROM (SELECT swept_at FROM app.sweep FOR UPDATE) AS before
WHERE sweep.swept_at < clock_timestamp() - %(period)s
RETURNING extract(epoch FROM sweep.swept_at - before.swept_at)::float8 AS idle;

-- sweep_age
-- Seconds since the last sweep.
SELECT extract(epoch FROM clock_timestamp() - swept_at)::float8 AS age FROM app.sweep;

-- due_jobs
-- Jobs whose current stage nobody has started: their message is due again. Times between sends: 1, 2, 4, 10 periods.
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
-- Queued tasks whose message is due again. A task that has waited 15 min since its last send is `late`.
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
-- How many messages a queue must hold at least for none to be lost.
SELECT queue, count(*) AS tasks FROM app.tasks WHERE status IN ('queued', 'processing') GROUP BY queue;

-- expired_tasks
-- Running tasks whose worker stopped renewing its lease.
SELECT * FROM app.tasks WHERE status = 'processing' AND lease_until < clock_timestamp()
ORDER BY lease_until LIMIT %(limit)s;

-- take_back_task
-- processing -> queued: the worker is gone. It names what it saw, so that a fresh claim is left alone.
UPDATE app.tasks
SET status = 'queued', lease_until = NULL, tries = tries - 1, deaths = deaths + 1, error = %(error)s,
    not_before = clock_timestamp(), resend_at = clock_timestamp() + %(resend_after)s, updated_at = clock_timestamp()
WHERE task_id = %(task_id)s AND status = 'processing' AND attempt = %(attempt)s
  AND lease_until < clock_timestamp() AND deaths + 1 < max_deaths
RETURNING *;

-- overdue_jobs
-- Open jobs past their deadline: the last resort.
SELECT * FROM app.jobs WHERE status IN ('queued', 'processing') AND deadline_at < clock_timestamp()
ORDER BY deadline_at LIMIT %(limit)s;

-- stalled_jobs
-- Started, open, and no task left to end it. Must never exist.
SELECT j.job_id, j.current_stage_n FROM app.jobs AS j
WHERE j.status = 'processing' AND j.stage_tasks IS NOT NULL AND NOT EXISTS (
    SELECT FROM app.tasks AS t
    WHERE t.job_id = j.job_id AND t.stage_n = j.current_stage_n AND t.status IN ('queued', 'processing'))
LIMIT %(limit)s;
