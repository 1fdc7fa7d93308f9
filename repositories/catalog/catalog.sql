-- Statements on pgSTAC: https://stac-utils.github.io/pgstac/pgstac/

-- use_pgstac
-- pgSTAC's functions name their tables without a schema; for this transaction alone, and taken back by use_public.
SELECT set_config('search_path', 'pgstac, public', true);

-- use_public
-- Take back what use_pgstac set.
SELECT set_config('search_path', 'public', true);

-- lock_catalog
-- One writer at a time: extents are read and written, and pgSTAC changes partitions under locks on all collections, so
-- that two writers deadlock (which takes a second to be seen) more often than they gain by running side by side.
SELECT pg_advisory_xact_lock(hashtextextended('geostage.pgstac', 0));

-- get_collection
-- A collection by id.
SELECT content FROM pgstac.collections WHERE id = %(collection)s;

-- upsert_collection
-- Insert or replace a collection by pgSTAC's own function.
SELECT pgstac.upsert_collection(%(collection)s::jsonb);

-- upsert_items
-- Insert or replace items by pgSTAC's own function, which creates and widens partitions.
SELECT pgstac.upsert_items(%(items)s::jsonb);

-- find_sources
-- Items that describe blobs of a container as they are, by id.
SELECT id, content->'properties'->>'geostage:etag' AS etag, content->'properties'->>'geostage:detail' AS detail
FROM pgstac.items
WHERE collection = %(collection)s AND id = ANY(%(ids)s)
  AND content->'properties'->>'geostage:container' = %(container)s;

-- in_order
-- Make page_sources read along the index of ids: the planner underestimates the rows that the filter leaves, and sorts.
SET LOCAL enable_sort = off;

-- page_sources
-- Items that describe blobs of a container whose names start so, a page at a time in the order of ids.
SELECT id, content->'properties'->>'geostage:etag' AS etag, content->'properties'->>'geostage:blob' AS blob
FROM pgstac.items
WHERE collection = %(collection)s AND id > %(after)s
  AND content->'properties'->>'geostage:container' = %(container)s
  AND starts_with(content->'properties'->>'geostage:blob', %(prefix)s)
ORDER BY id LIMIT %(limit)s;

-- delete_sources
-- Only what is still as it was seen, and describes a blob of this container. It does what pgSTAC's delete_item does, for
-- all of them at once: the triggers that look after the partitions run once for each statement, and take 5 ms.
DELETE FROM pgstac.items AS i
USING unnest(%(ids)s::text[], %(etags)s::text[]) AS gone (id, etag)
WHERE i.id = gone.id AND i.collection = %(collection)s AND i.content->'properties'->>'geostage:etag' = gone.etag
  AND i.content->'properties'->>'geostage:container' = %(container)s;

-- find_outputs
-- Items of any collection that are outputs of a source and whose ids start so, with the links to their data.
SELECT collection, id, content->'assets'->'data'->>'href' AS href FROM pgstac.items
WHERE starts_with(id, %(prefix)s) AND content->'properties'->>'geostage:source' = %(source)s;

-- find_owners
-- The files that items belong to, by id. Items that other software wrote do not name a source, and are left out.
SELECT id, content->'properties'->>'geostage:source' AS source, content->'assets'->'data'->>'href' AS href,
       content->'properties' ? 'geostage:blob' AS is_source
FROM pgstac.items
WHERE collection = %(collection)s AND id = ANY(%(ids)s) AND content->'properties' ? 'geostage:source';

-- delete_items
-- All at once, as delete_sources does.
DELETE FROM pgstac.items WHERE collection = %(collection)s AND id = ANY(%(ids)s);

-- reaches
-- Where and when items lie. Bounds are read from geometries, which is much faster than from the bbox in the record and
-- equal to it. But a geometry that is cut at the antimeridian is as wide as the world, so for wide ones the bbox is read,
-- which may have heights. OFFSET 0 keeps the planner from computing bounds once for each use, and from sorting records.
SELECT id, coalesce((bbox->>0)::float8, xmin) AS west, south,
       coalesce((bbox->>(jsonb_array_length(bbox) / 2))::float8, xmax) AS east, north, first, last
FROM (
    SELECT *, CASE WHEN xmax - xmin > 180 AND jsonb_typeof(content->'bbox') = 'array' THEN content->'bbox' END AS bbox
    FROM (
        SELECT id, content, ST_XMin(geometry) AS xmin, ST_YMin(geometry) AS south,
               ST_XMax(geometry) AS xmax, ST_YMax(geometry) AS north,
               CASE WHEN isfinite(datetime) THEN datetime END AS first,
               CASE WHEN isfinite(end_datetime) THEN end_datetime END AS last
        FROM ({items}) AS chosen OFFSET 0
    ) AS bounded OFFSET 0
) AS placed

-- all_items
-- All items of a collection, for reaches.
SELECT * FROM pgstac.items WHERE collection = %(collection)s

-- some_items
-- Items of a collection by id, for reaches.
SELECT * FROM pgstac.items WHERE collection = %(collection)s AND id = ANY(%(ids)s)

-- joined_reaches
-- Reaches in as many rows as there are degrees: boxes that begin in the same one, and lie on the same side of the
-- antimeridian or both across it, are joined by their outermost edges.
SELECT min(west) AS west, min(south) AS south, max(east) AS east, max(north) AS north,
       min(first) AS first, max(last) AS last
FROM ({reaches}) AS items
GROUP BY greatest(-361, least(361, floor(west))), west > east
