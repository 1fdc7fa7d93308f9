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
