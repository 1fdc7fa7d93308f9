-- Statements on pgSTAC: https://stac-utils.github.io/pgstac/pgstac/

-- use_pgstac
-- pgSTAC's functions name their tables without a schema; for this transaction alone, and taken back by use_public.
SELECT set_config('search_path', 'pgstac, public', true);

-- use_public
SELECT set_config('search_path', 'public', true);

-- lock_catalog
-- One writer at a time: extents are read and written, and pgSTAC changes partitions under locks on all collections, so
-- that two writers deadlock (which takes a second to be seen) more often than they gain by running side by side.
SELECT pg_advisory_xact_lock(hashtextextended('geostage.pgstac', 0));

-- get_collection
SELECT content FROM pgstac.collections WHERE id = %(collection)s;

-- upsert_collection
SELECT pgstac.upsert_collection(%(collection)s::jsonb);

-- upsert_items
SELECT pgstac.upsert_items(%(items)s::jsonb);

-- get_item
SELECT pgstac.get_item(%(item)s, %(collection)s) AS item;

-- find_sources
-- Items that were made of blobs of a container as they are, by id.
SELECT id, content->'properties'->>'geostage:etag' AS etag, content->'properties'->>'geostage:detail' AS detail
FROM pgstac.items
WHERE collection = %(collection)s AND id = ANY(%(ids)s)
  AND content->'properties'->>'geostage:container' = %(container)s;

-- in_order
-- Pages are read along the index of ids: the planner takes what the filter leaves for far less than it is.
SET LOCAL enable_sort = off;

-- page_sources
-- The same by their blob's name, a page at a time in the order of ids.
SELECT id, content->'properties'->>'geostage:etag' AS etag, content->'properties'->>'geostage:blob' AS blob
FROM pgstac.items
WHERE collection = %(collection)s AND id > %(after)s
  AND content->'properties'->>'geostage:container' = %(container)s
  AND starts_with(content->'properties'->>'geostage:blob', %(prefix)s)
ORDER BY id LIMIT %(limit)s;

-- delete_sources
-- Only what is still as it was seen, and was made of a blob of this container. It is what pgSTAC's delete_item does,
-- for all of them at once: its triggers look after the partitions once a statement, at 5 ms each.
DELETE FROM pgstac.items AS i
USING unnest(%(ids)s::text[], %(etags)s::text[]) AS gone (id, etag)
WHERE i.id = gone.id AND i.collection = %(collection)s AND i.content->'properties'->>'geostage:etag' = gone.etag
  AND i.content->'properties'->>'geostage:container' = %(container)s;

-- find_outputs
-- Items that were made of a source and whose ids begin so, with the links to their data.
SELECT id, content->'assets'->'data'->>'href' AS href FROM pgstac.items
WHERE collection = %(collection)s AND starts_with(id, %(prefix)s)
  AND content->'properties'->>'geostage:source' = %(source)s;

-- find_holders
-- Of which sources items are, by id; items of other makers do not say it.
SELECT id, content->'properties'->>'geostage:source' AS source, content->'assets'->'data'->>'href' AS href
FROM pgstac.items
WHERE collection = %(collection)s AND id = ANY(%(ids)s) AND content->'properties' ? 'geostage:source';

-- delete_items
-- All at once, as delete_sources does.
DELETE FROM pgstac.items WHERE collection = %(collection)s AND id = ANY(%(ids)s);
