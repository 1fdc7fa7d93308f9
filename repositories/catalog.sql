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
