-- Reading the catalogue. {names} are filled in with psycopg.sql. Searches are our own statements over pgSTAC's tables:
-- its search() writes a row for each new question, needs the last item of a page to be there still, takes a bbox over the
-- antimeridian for its opposite, and knows no distances.

-- begin_reading
-- For this transaction alone: no writes, limits of time, and pgSTAC's functions find each other.
SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', %(statement_ms)s, true),
       set_config('lock_timeout', %(lock_ms)s, true),
       set_config('search_path', 'pgstac, public', true)

-- use_snapshot
-- All statements see the database as it was at the first one. Nothing is written here, so nothing can fail to serialize.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- search
-- One page of items in the order of their keys; size is what an item weighs in the answer, in bytes.
SELECT i.collection, i.id, {key} AS key, {item} AS item
FROM pgstac.items AS i JOIN pgstac.collections AS c ON c.id = i.collection
WHERE {conditions}
ORDER BY {order}
LIMIT %(limit)s

-- whole_item
-- An item with what pgSTAC took out of it: the parts that are equal to its collection's. Its own function for that takes a
-- millisecond (an export of 100,000 items took 116 s with it and 51 s without), so it is called where there is more to
-- put back than a version: assets that a collection describes for its items, an older description of them, or the sign
-- that the item lacks what its collection has.
CASE WHEN jsonb_typeof(c.base_item -> 'assets') = 'object' OR i.content ? 'pgstac:base_item'
          OR i.content ->> 'stac_version' = '𒍟※'
     THEN pgstac.content_hydrate(i, '{{}}'::jsonb)
     ELSE jsonb_build_object('stac_version', c.base_item -> 'stac_version') || i.content
          || jsonb_build_object('id', i.id, 'type', 'Feature', 'collection', i.collection,
                                'geometry', ST_AsGeoJSON(i.geometry, 20)::jsonb)
END

-- key_of_time
-- Sort key of items by datetime, as text for cursors.
i.datetime::text

-- order_by_time
-- Newest first.
i.datetime DESC, i.collection, i.id

-- after_time
-- What follows a key, newest first. The first condition is implied by the second, in a form that an index can serve.
(i.datetime <= %(key)s::timestamptz
 AND (i.datetime < %(key)s::timestamptz OR (i.collection, i.id) > (%(after_collection)s, %(after_id)s)))

-- key_of_distance
-- Metres; straight lines in degrees, as GeoJSON has them, are followed with a vertex every degree. The outline stands for
-- an area, because the inside of one that is larger than half of the globe is not known to a geography. Edges between far
-- vertices would leave the footprint, and one around the world has none that PostGIS can measure ("antipodal edge").
CASE WHEN ST_Intersects(i.geometry, ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)) THEN 0.0
     ELSE ST_Distance(
         ST_Segmentize(
             CASE WHEN GeometryType(i.geometry) IN ('POLYGON', 'MULTIPOLYGON') THEN ST_Boundary(i.geometry)
                  ELSE i.geometry END, 1.0)::geography,
         ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)::geography)
END

-- order_by_distance
-- Nearest first.
key, i.collection, i.id

-- after_distance
-- What follows a key, nearest first.
({key} >= %(key)s AND ({key} > %(key)s OR (i.collection, i.id) > (%(after_collection)s, %(after_id)s)))

-- within_distance
-- Items at most so many metres away.
{key} <= %(distance)s

-- in_collection
-- Items of one collection.
i.collection = %(collection)s

-- in_area
-- Items whose footprint meets an area.
ST_Intersects(i.geometry, ST_GeomFromGeoJSON(%(area)s))

-- in_time
-- Items whose interval overlaps another; both are inclusive.
i.datetime <= %(latest)s::timestamptz AND i.end_datetime >= %(earliest)s::timestamptz

-- any_item
-- No condition.
true

-- why_invalid
-- What is wrong with a geometry; NULL if it is valid.
SELECT nullif(ST_IsValidReason(ST_GeomFromGeoJSON(%(area)s)), 'Valid Geometry') AS reason

-- find_collection
-- A collection by id, with the key that pgSTAC names its partitions by.
SELECT c.content, c.key::text AS key FROM pgstac.collections AS c WHERE c.id = %(collection)s

-- list_collection_ids
-- Ids of collections, to suggest the one that was meant.
SELECT id FROM pgstac.collections ORDER BY id LIMIT %(limit)s

-- list_collections
-- A page of collections in the order of their ids.
SELECT c.id, c.content FROM pgstac.collections AS c
WHERE %(after_id)s::text IS NULL OR c.id > %(after_id)s
ORDER BY c.id LIMIT %(limit)s

-- count_items
-- Items of some collections, and the interval of their datetimes.
SELECT i.collection, count(*) AS items, to_json(min(i.datetime)) #>> '{}' AS earliest,
       to_json(max(i.end_datetime)) #>> '{}' AS latest
FROM pgstac.items AS i WHERE i.collection = ANY (%(collections)s) GROUP BY i.collection

-- measure_collection
-- Bytes on disk of the partitions of a collection, indexes included, and their number.
SELECT count(*) AS partitions, coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint AS bytes
FROM pg_partition_tree(to_regclass('pgstac._items_' || %(key)s)) AS t WHERE t.isleaf

-- export
-- All items that meet the conditions, for a cursor of the server.
SELECT i.collection, i.id, {item} AS item,
       CASE WHEN isfinite(i.datetime) THEN i.datetime END AS starts_at,
       CASE WHEN isfinite(i.end_datetime) THEN i.end_datetime END AS ends_at, ST_AsBinary(i.geometry) AS wkb,
       ST_XMin(i.geometry) AS xmin, ST_YMin(i.geometry) AS ymin, ST_XMax(i.geometry) AS xmax,
       ST_YMax(i.geometry) AS ymax
FROM pgstac.items AS i JOIN pgstac.collections AS c ON c.id = i.collection
WHERE {conditions}
ORDER BY i.collection, i.id

-- export_collections
-- All collections, or one, for a cursor of the server.
SELECT c.content FROM pgstac.collections AS c
WHERE %(collection)s::text IS NULL OR c.id = %(collection)s
ORDER BY c.id
