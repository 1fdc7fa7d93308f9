-- Statements on tiling plans.

-- insert_plan
-- Store a plan; a second try of the same job replaces its own.
INSERT INTO geo.tiling_plans (plan_id, job_id, container, blob, etag, options, crs_wkt, transform, width, height,
                              pixel_bytes, block_side, tile_width, tile_height)
VALUES (%(plan_id)s, %(plan_id)s, %(container)s, %(blob)s, %(etag)s, %(options)s, %(crs_wkt)s, %(transform)s,
        %(width)s, %(height)s, %(pixel_bytes)s, %(block_side)s, %(tile_width)s, %(tile_height)s);

-- delete_plan
-- Remove a plan with its tiles.
DELETE FROM geo.tiling_plans WHERE plan_id = %(plan_id)s;

-- insert_tiles
-- Cut the grid of a plan into tiles: from the top left, row by row; those at the right and the bottom may be smaller.
-- Bounds are the corners of the window in the plan's CRS, by its geotransform: exact, for rotated grids too and beyond
-- 180 degrees, where longitude and latitude would have to be cut.
WITH cut AS (
    SELECT p.*, r.n AS "row", c.n AS "col", c.n * p.tile_width AS col_off, r.n * p.tile_height AS row_off,
           least(p.tile_width, p.width - c.n * p.tile_width) AS tile_w,
           least(p.tile_height, p.height - r.n * p.tile_height) AS tile_h
    FROM geo.tiling_plans AS p
    CROSS JOIN generate_series(0, (p.height - 1) / p.tile_height) AS r (n)
    CROSS JOIN generate_series(0, (p.width - 1) / p.tile_width) AS c (n)
    WHERE p.plan_id = %(plan_id)s
), known AS (
    SELECT coalesce((SELECT srid FROM spatial_ref_sys
                     WHERE auth_name = %(authority)s AND auth_srid::text = %(code)s LIMIT 1), 0) AS srid
)
INSERT INTO geo.tiles (plan_id, "row", "col", bounds, col_off, row_off, width, height)
SELECT plan_id, "row", "col",
       ST_SetSRID(ST_Affine(ST_MakeEnvelope(col_off, row_off, col_off + tile_w, row_off + tile_h),
                            transform[1], transform[2], transform[4], transform[5], transform[3], transform[6]),
                  (SELECT srid FROM known)),
       col_off, row_off, tile_w, tile_h
FROM cut;

-- get_plan
-- Return a plan.
SELECT * FROM geo.tiling_plans WHERE plan_id = %(plan_id)s;

-- lock_output
-- Wait until no other transaction checks or assigns an output folder.
SELECT pg_advisory_xact_lock(hashtextextended('geostage.tiling ' || %(output)s, 0));

-- output_holder
-- Return another job, queued or running, whose tiles go to an output folder.
SELECT p.job_id FROM geo.tiling_plans AS p JOIN app.jobs AS j USING (job_id)
WHERE p.output = %(output)s AND p.job_id <> %(job_id)s AND j.status IN ('queued', 'processing')
LIMIT 1;

-- assign_output
-- Assign an output folder to a plan and take it from all others: a retry of their jobs would mix tiles.
UPDATE geo.tiling_plans SET output = CASE WHEN plan_id = %(plan_id)s THEN %(output)s END
WHERE plan_id = %(plan_id)s OR output = %(output)s;

-- hold_plan
-- Lock a plan against being taken over until the transaction ends; false when another job has it or its output folder.
SELECT job_id = %(job_id)s AND output IS NOT NULL AS held FROM geo.tiling_plans WHERE plan_id = %(plan_id)s FOR SHARE;

-- lock_plan
-- Lock a plan for this transaction alone; return the job that has it, and whether that job is queued or running.
SELECT p.job_id,
       EXISTS (SELECT FROM app.jobs AS j WHERE j.job_id = p.job_id AND j.status IN ('queued', 'processing')) AS busy
FROM geo.tiling_plans AS p WHERE p.plan_id = %(plan_id)s FOR NO KEY UPDATE OF p;

-- assign_plan
-- Assign a plan to a job.
UPDATE geo.tiling_plans SET job_id = %(job_id)s, status = 'planned', done_at = NULL WHERE plan_id = %(plan_id)s;

-- reset_tiles
-- Forget the outcome of a plan's tiles.
UPDATE geo.tiles
SET status = 'planned', skipped = NULL, cog_path = NULL, stac_id = NULL, item = NULL, seconds = NULL,
    updated_at = clock_timestamp()
WHERE plan_id = %(plan_id)s AND status <> 'planned';

-- get_tile
-- Return a tile of a plan.
SELECT tile_id, "row", "col", col_off, row_off, width, height, ST_XMin(bounds) AS west, ST_YMin(bounds) AS south,
       ST_XMax(bounds) AS east, ST_YMax(bounds) AS north, status::text, skipped, cog_path, stac_id, seconds
FROM geo.tiles WHERE plan_id = %(plan_id)s AND "row" = %(row)s AND "col" = %(col)s;

-- list_tiles
-- Return the tiles of a plan, row by row.
SELECT tile_id, "row", "col", col_off, row_off, width, height, ST_XMin(bounds) AS west, ST_YMin(bounds) AS south,
       ST_XMax(bounds) AS east, ST_YMax(bounds) AS north, status::text, skipped, cog_path, stac_id, seconds
FROM geo.tiles WHERE plan_id = %(plan_id)s ORDER BY "row", "col";

-- record_tile
-- Store the outcome of a tile.
UPDATE geo.tiles
SET status = 'tiled', skipped = %(skipped)s, cog_path = %(cog_path)s, stac_id = %(stac_id)s, item = %(item)s,
    seconds = %(seconds)s, updated_at = clock_timestamp()
WHERE plan_id = %(plan_id)s AND "row" = %(row)s AND "col" = %(col)s;

-- list_items
-- Return the items of the next tiles after a place, row by row.
SELECT "row", "col", item FROM geo.tiles
WHERE plan_id = %(plan_id)s AND item IS NOT NULL AND ("row", "col") > (%(row)s, %(col)s)
ORDER BY "row", "col" LIMIT %(limit)s;

-- item_boxes
-- Return the boxes of the items of a plan's tiles.
SELECT stac_id, item->'bbox' AS bbox FROM geo.tiles WHERE plan_id = %(plan_id)s AND item IS NOT NULL;

-- finish_tiles
-- Mark the tiles of a plan as done.
UPDATE geo.tiles SET status = 'done', updated_at = clock_timestamp()
WHERE plan_id = %(plan_id)s AND status = 'tiled';

-- finish_plan
-- Mark a plan as done.
UPDATE geo.tiling_plans SET status = 'done', done_at = clock_timestamp() WHERE plan_id = %(plan_id)s;
