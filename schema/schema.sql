-- The schema as it stands: the sum of the migrations, held equal by a test.

CREATE EXTENSION IF NOT EXISTS postgis;

CREATE SCHEMA app;
CREATE SCHEMA IF NOT EXISTS geostage_work;
CREATE SCHEMA IF NOT EXISTS geo;

CREATE TYPE app.job_status AS ENUM (
    'queued',                 -- accepted; the first stage has not been started
    'processing',             -- queued -> processing: the first stage was started
    'completed',              -- processing -> completed: the last stage ended well
    'completed_with_errors',  -- processing -> completed_with_errors: tolerated failures (finish_all)
    'failed',                 -- queued, processing -> failed; back to queued or processing by retry alone
    'cancelled'               -- queued, processing -> cancelled
);

CREATE TYPE app.task_status AS ENUM (
    'queued',                 -- waits for a worker; processing -> queued when it is tried again
    'processing',             -- queued -> processing: claimed, under a lease
    'completed',              -- processing -> completed, in the transaction of its effects
    'failed',                 -- processing -> failed: a permanent error, or the budget is used up
    'cancelled'               -- queued, processing -> cancelled: its job ended
);

CREATE TYPE app.work_area AS ENUM ('kept', 'gone');

CREATE TABLE app.jobs (
    job_id text PRIMARY KEY CHECK (job_id ~ '^[0-9a-f]{32}$'),
    job_type text NOT NULL,
    status app.job_status NOT NULL DEFAULT 'queued',
    parameters jsonb NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
    source jsonb,
    stages integer NOT NULL CHECK (stages >= 1),
    current_stage_n integer NOT NULL DEFAULT 1,
    stage_sequence jsonb NOT NULL,
    current_stage text GENERATED ALWAYS AS (stage_sequence ->> current_stage_n::text) STORED NOT NULL,
    stage_data jsonb NOT NULL DEFAULT '{}',
    stage_history jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(stage_history) = 'array'),
    -- Number of tasks that the current stage was started with. NULL: not started.
    stage_tasks integer CHECK (stage_tasks >= 0),
    start_failures integer NOT NULL DEFAULT 0 CHECK (start_failures >= 0),
    progress_floor integer NOT NULL DEFAULT 0 CHECK (progress_floor BETWEEN 0 AND 100),
    result_data jsonb,
    warnings jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(warnings) = 'array'),
    error jsonb,
    dedup_key text NOT NULL,
    idempotency_key text CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    traceparent text,
    sends integer NOT NULL DEFAULT 0,
    resend_at timestamptz NOT NULL,
    work_area app.work_area NOT NULL DEFAULT 'kept',
    -- When the work area is next to be cleared. NULL: not yet, or for good.
    clear_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    deadline_at timestamptz NOT NULL,
    CHECK (current_stage_n BETWEEN 1 AND stages),
    CHECK ((status IN ('queued', 'processing')) = (finished_at IS NULL)),
    CHECK (status <> 'queued' OR stage_tasks IS NULL),
    CHECK (status <> 'failed' OR error IS NOT NULL),
    CHECK (status NOT IN ('completed', 'completed_with_errors') OR result_data IS NOT NULL),
    CHECK (status NOT IN ('queued', 'processing') OR work_area = 'kept')
);

CREATE UNIQUE INDEX jobs_dedup ON app.jobs (dedup_key) WHERE status IN ('queued', 'processing');
CREATE UNIQUE INDEX jobs_idempotency ON app.jobs (idempotency_key)
    WHERE status IN ('queued', 'processing', 'completed', 'completed_with_errors');
CREATE INDEX jobs_unstarted ON app.jobs (resend_at) WHERE status IN ('queued', 'processing') AND stage_tasks IS NULL;
CREATE INDEX jobs_open ON app.jobs (deadline_at) WHERE status IN ('queued', 'processing');
CREATE INDEX jobs_clear ON app.jobs (clear_at) WHERE clear_at IS NOT NULL;
CREATE INDEX jobs_by_status ON app.jobs (status, job_id DESC);
CREATE INDEX jobs_by_type ON app.jobs (job_type, job_id DESC);

CREATE TABLE app.tasks (
    task_id text PRIMARY KEY,
    job_id text NOT NULL REFERENCES app.jobs ON DELETE CASCADE,
    stage_n integer NOT NULL CHECK (stage_n >= 1),
    task_index integer NOT NULL CHECK (task_index >= 1),
    task_type text NOT NULL,
    queue text NOT NULL,
    parameters jsonb NOT NULL,
    status app.task_status NOT NULL DEFAULT 'queued',
    -- The fence: it only ever grows.
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    -- The budget: a retry by the user sets both to 0.
    tries integer NOT NULL DEFAULT 0,
    max_tries integer NOT NULL CHECK (max_tries >= 1),
    deaths integer NOT NULL DEFAULT 0,
    max_deaths integer NOT NULL CHECK (max_deaths >= 1),
    lease_until timestamptz,
    deadline_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
    sends integer NOT NULL DEFAULT 0,
    resend_at timestamptz NOT NULL,
    result jsonb,
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    UNIQUE (job_id, stage_n, task_index),
    CHECK (tries BETWEEN 0 AND max_tries),
    CHECK (deaths BETWEEN 0 AND max_deaths),
    CHECK ((status = 'processing') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('queued', 'processing')) = (finished_at IS NULL)),
    CHECK (status <> 'completed' OR result IS NOT NULL),
    CHECK (status <> 'failed' OR error IS NOT NULL)
) WITH (fillfactor = 70);

CREATE INDEX tasks_open ON app.tasks (job_id, stage_n, task_index) WHERE status IN ('queued', 'processing');
CREATE INDEX tasks_queued ON app.tasks (resend_at) WHERE status = 'queued';
-- What waits in a queue, job by job: a worker that looks for its next task asks for each queue apart.
CREATE INDEX tasks_waiting ON app.tasks (queue, job_id, stage_n, task_index) WHERE status = 'queued';
-- Not on lease_until: an index on it would cost every heartbeat its HOT update.
CREATE INDEX tasks_processing ON app.tasks (task_id) WHERE status = 'processing';

-- One row: when the sweep last ran.
CREATE TABLE app.sweep (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    swept_at timestamptz NOT NULL
);
INSERT INTO app.sweep (swept_at) VALUES ('epoch');

-- Messages that were poisoned. Their triggers empty the poison queues, so what an operator may want to see is kept here.
CREATE TABLE app.poison (
    poison_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    content text NOT NULL,
    job_id text,
    task_id text,
    poisoned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Finish of a task without effects while its stage has other open tasks: nothing else hangs on it, so the job's lock is
-- held for no round trip of the client. Lock, look and act are statements of their own: each sees what was committed
-- before it. False: the fence broke, or the task is the last one, and nothing was changed.
CREATE FUNCTION app.finish_unless_last(the_job text, the_stage integer, the_task text, the_attempt integer, the_result jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM app.jobs WHERE job_id = the_job FOR NO KEY UPDATE;
    PERFORM FROM app.tasks
    WHERE job_id = the_job AND stage_n = the_stage AND status IN ('queued', 'processing') AND task_id <> the_task
    ORDER BY task_index DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE app.tasks
    SET status = 'completed', result = the_result, error = NULL, lease_until = NULL, finished_at = clock_timestamp(),
        updated_at = clock_timestamp()
    WHERE task_id = the_task AND status = 'processing' AND attempt = the_attempt;
    RETURN FOUND;
END
$$;

-- Plans of rasters that are worked on in tiles, beside the tables that jobs load.

CREATE TYPE geo.plan_status AS ENUM (
    'planned',  -- the grid is there; tiles may have been made
    'done'      -- planned -> done: all tiles of a job were collected; back to planned when another job takes the plan
);

CREATE TYPE geo.tile_status AS ENUM (
    'planned',  -- not made yet
    'tiled',    -- planned -> tiled: written as a COG, or skipped because nothing but nodata is in it
    'done'      -- tiled -> done: in the collection and in the mosaics, or skipped
);

CREATE TABLE geo.tiling_plans (
    -- The job that made it.
    plan_id text PRIMARY KEY CHECK (plan_id ~ '^[0-9a-f]{32}$'),
    -- The job that last took it to make its tiles; the one that made it, until then.
    job_id text NOT NULL CHECK (job_id ~ '^[0-9a-f]{32}$'),
    container text NOT NULL,
    blob text NOT NULL,
    etag text NOT NULL,
    options jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    crs_wkt text NOT NULL,
    -- a, b, c, d, e, f: x = a col + b row + c, y = d col + e row + f.
    transform double precision[] NOT NULL CHECK (array_length(transform, 1) = 6),
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    pixel_bytes integer NOT NULL CHECK (pixel_bytes > 0),
    -- Of the blocks that the grid is warped in.
    block_side integer NOT NULL CHECK (block_side > 0),
    tile_width integer NOT NULL CHECK (tile_width > 0),
    tile_height integer NOT NULL CHECK (tile_height > 0),
    -- The folder that its tiles are written to. NULL: no job makes them, or a later one has that folder.
    output text,
    status geo.plan_status NOT NULL DEFAULT 'planned',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    CHECK ((status = 'done') = (done_at IS NOT NULL))
);

CREATE TABLE geo.tiles (
    plan_id text NOT NULL REFERENCES geo.tiling_plans ON DELETE CASCADE,
    tile_id text NOT NULL GENERATED ALWAYS AS ('r' || "row" || 'c' || "col") STORED,
    "row" integer NOT NULL CHECK ("row" >= 0),
    "col" integer NOT NULL CHECK ("col" >= 0),
    -- In the CRS of the plan; SRID 0 where PostGIS does not know it.
    bounds geometry(Polygon) NOT NULL,
    -- The window of the output grid, in pixels.
    col_off integer NOT NULL CHECK (col_off >= 0),
    row_off integer NOT NULL CHECK (row_off >= 0),
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    status geo.tile_status NOT NULL DEFAULT 'planned',
    -- Nothing but nodata is in it. NULL: not looked at yet.
    skipped boolean,
    cog_path text,
    stac_id text,
    item jsonb,
    seconds double precision CHECK (seconds >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (plan_id, "row", "col"),
    CHECK ((status = 'planned') = (skipped IS NULL)),
    CHECK ((skipped IS NOT DISTINCT FROM false)
           = (cog_path IS NOT NULL AND stac_id IS NOT NULL AND item IS NOT NULL))
);

CREATE INDEX tiles_bounds ON geo.tiles USING gist (bounds);
