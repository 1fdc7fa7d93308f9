-- What waits in a queue, job by job: a worker that looks for its next task asks for each queue apart.
CREATE INDEX tasks_waiting ON app.tasks (queue, job_id, stage_n, task_index) WHERE status = 'queued';
