-- Counting what the catalogue holds. Every list is cut to %(limit)s rows, the largest first.

-- by_collection
-- Items of each collection, and the interval of their datetimes.
SELECT i.collection AS name, count(*) AS items, to_json(min(i.datetime)) #>> '{}' AS earliest,
       to_json(max(i.end_datetime)) #>> '{}' AS latest
FROM pgstac.items AS i
WHERE %(collection)s::text IS NULL OR i.collection = %(collection)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s

-- by_date
-- Items by the month of their datetime.
SELECT to_char(date_trunc('month', i.datetime), 'YYYY-MM') AS name, count(*) AS items
FROM pgstac.items AS i
WHERE %(collection)s::text IS NULL OR i.collection = %(collection)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s

-- by_file_type
-- Media types of assets; bytes as far as assets tell their size. What a collection says of its items' assets is kept out
-- of the items by pgSTAC, and put in where there is such a thing.
SELECT a.name, count(*) AS items, sum(a.assets)::bigint AS assets, sum(a.bytes)::bigint AS bytes
FROM pgstac.items AS i JOIN pgstac.collections AS c ON c.id = i.collection
CROSS JOIN LATERAL (
    SELECT CASE WHEN jsonb_typeof(c.base_item -> 'assets') = 'object' OR i.content ? 'pgstac:base_item'
                THEN pgstac.content_hydrate(i, '{}'::jsonb) ELSE i.content END -> 'assets' AS assets
) AS h
CROSS JOIN LATERAL (
    SELECT coalesce(e.value ->> 'type', 'unknown') AS name, count(*) AS assets,
           sum(CASE WHEN jsonb_typeof(e.value -> 'file:size') = 'number'
                    THEN (e.value ->> 'file:size')::numeric END) AS bytes
    FROM jsonb_each(CASE WHEN jsonb_typeof(h.assets) = 'object' THEN h.assets ELSE '{}' END) AS e
    GROUP BY 1
) AS a
WHERE %(collection)s::text IS NULL OR i.collection = %(collection)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s

-- by_crs
-- The CRS of an item, or of the first of its assets that has one.
SELECT coalesce(
           p.item ->> 'proj:code', 'EPSG:' || (p.item ->> 'proj:epsg'),
           (SELECT coalesce(e.value ->> 'proj:code', 'EPSG:' || (e.value ->> 'proj:epsg'))
            FROM jsonb_each(CASE WHEN jsonb_typeof(i.content -> 'assets') = 'object'
                                 THEN i.content -> 'assets' ELSE '{}' END) AS e
            WHERE coalesce(e.value ->> 'proj:code', e.value ->> 'proj:epsg') IS NOT NULL ORDER BY e.key LIMIT 1),
           CASE WHEN coalesce(p.item ->> 'proj:wkt2', p.item ->> 'proj:projjson') IS NOT NULL THEN 'without a code'
                ELSE 'unknown' END) AS name,
       count(*) AS items
FROM pgstac.items AS i CROSS JOIN LATERAL (SELECT i.content -> 'properties' AS item) AS p
WHERE %(collection)s::text IS NULL OR i.collection = %(collection)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
