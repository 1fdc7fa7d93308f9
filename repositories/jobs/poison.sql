-- Messages that failed as often as their queue allows.

-- insert_poison
-- Keep a message that failed as often as its queue allows.
INSERT INTO app.poison (queue, content, job_id, task_id)
VALUES (%(queue)s, %(content)s, %(job_id)s, %(task_id)s)
RETURNING poison_id;

-- take_poison
-- Remove and return messages, for the transaction that drops or requeues them: readable ones only, or all. Two callers
-- never take the same message.
DELETE FROM app.poison WHERE poison_id IN (
    SELECT poison_id FROM app.poison
    WHERE (%(poison_id)s::bigint IS NULL OR poison_id = %(poison_id)s) AND poison_id <= %(newest)s
      AND (NOT %(readable)s OR job_id IS NOT NULL)
    ORDER BY poison_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING poison_id, queue, content;

-- find_poison
-- Return a message. One that holds the ids of a job or task is readable.
SELECT poison_id, job_id IS NOT NULL AS readable FROM app.poison WHERE poison_id = %(poison_id)s;

-- newest_poison
-- Return the newest id, so that messages that come later are not taken.
SELECT max(poison_id) AS newest FROM app.poison;

-- count_poison
-- Count poison messages by queue.
SELECT queue, count(*) AS messages FROM app.poison GROUP BY queue ORDER BY queue;

-- list_poison
-- Return messages, newest first, with the rows that they point at.
SELECT p.*, j.status::text AS job_status, t.status::text AS task_status, coalesce(t.error, j.error) AS error
FROM app.poison AS p LEFT JOIN app.jobs AS j USING (job_id) LEFT JOIN app.tasks AS t USING (task_id)
WHERE %(before)s::bigint IS NULL OR p.poison_id < %(before)s
ORDER BY p.poison_id DESC LIMIT %(limit)s;
