"""How QGIS, GDAL and psql open what the jobs of a running stack made: connection values, tables and signed URLs."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote, urlsplit

import psycopg
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ResourceTypes,
    generate_account_sas,
)

from local.servers.azurite import ACCOUNT, KEY
from local.state import StackState
from schema.settings import Settings

SCHEMA = "geo"
SHOWN = 10
SIGNED_FOR = timedelta(days=7)
# geo.tiles is in every database, and its footprints are worth a look only where a raster was cut into tiles. It comes
# last: the example for ogrinfo takes the first table.
TABLES = """
SELECT f_table_name, type, srid FROM geometry_columns
WHERE f_table_schema = %s AND f_table_name NOT LIKE '%%\\_\\_rejects'
  AND (f_table_name <> 'tiles' OR EXISTS (SELECT FROM geo.tiles))
ORDER BY f_table_name = 'tiles', f_table_name
"""


@dataclass(frozen=True)
class Database:
    """The parts of a PostGIS connection, as the dialog of QGIS asks for them."""

    host: str
    port: int
    name: str
    user: str
    password: str

    @classmethod
    def of(cls, dsn: str) -> "Database":
        """Return the parts of a libpq URI."""
        parts = urlsplit(dsn)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname or "", parts.port or 5432, parts.path.lstrip("/"), user, password)

    @property
    def gdal(self) -> str:
        """Return the name under which GDAL opens the schema of loaded tables."""
        login = f"user={self.user} password={self.password}"
        return f"PG:host={self.host} port={self.port} dbname={self.name} {login} schemas={SCHEMA}"


class SignedUrls:
    """URLs of blobs that anybody on this machine can read for a week, and nothing else."""

    def __init__(self, connection_string: str) -> None:
        self._service = BlobServiceClient.from_connection_string(connection_string)
        expiry = datetime.now(UTC) + SIGNED_FOR
        only_blobs, only_reading = ResourceTypes(object=True), AccountSasPermissions(read=True)
        self._signature = generate_account_sas(ACCOUNT, KEY, only_blobs, only_reading, expiry)

    def of(self, path: str) -> str:
        """Return the URL of a blob given as container/name, which is how results name their outputs."""
        return f"{self._service.primary_endpoint.rstrip('/')}/{quote(path)}?{self._signature}"

    @property
    def pattern(self) -> str:
        """Return the URL with <cog_path> in the place of the blob."""
        return self.of("").replace("?", "<cog_path>?", 1)

    def outputs(self) -> list[str]:
        """Return container/name of the newest GeoTIFFs that jobs wrote."""
        container = Settings.model_fields["output_container"].default
        try:
            blobs = list(self._service.get_container_client(container).list_blobs())
        except ResourceNotFoundError:
            return []
        rasters = [blob for blob in blobs if blob.name.endswith(".tif")]
        newest = sorted(rasters, key=lambda blob: blob.last_modified, reverse=True)
        return [f"{container}/{blob.name}" for blob in itertools.islice(newest, SHOWN)]


def describe(state: StackState) -> str:
    """Return the page that `./dev env --qgis` prints."""
    database, urls = Database.of(state.postgres_dsn), SignedUrls(state.storage_connection_string)
    with psycopg.connect(state.postgres_dsn) as connection:
        tables = connection.execute(TABLES, [SCHEMA]).fetchall()
    outputs = urls.outputs()
    lines = [
        "PostGIS: Layer > Add Layer > Add PostGIS Layers... > New",
        f"  Host      {database.host}",
        f"  Port      {database.port}",
        f"  Database  {database.name}",
        "  SSL mode  disable",
        f"  User      {database.user}",
        f"  Password  {database.password}",
        f"  Schema    {SCHEMA}",
        *(
            f"  table     {SCHEMA}.{name} ({kind}, {f'EPSG:{srid}' if srid else 'no CRS'})"
            for name, kind, srid in tables
        ),
        "",
        "COG: Layer > Add Layer > Add Raster Layer... > Protocol: HTTP(S), URI",
        f"  {urls.pattern}",
        *(f"  {urls.of(path)}" for path in outputs),
        "",
        "On the command line",
        f'  psql "{state.postgres_dsn}"',
        f'  ogrinfo -so "{database.gdal}" {tables[0][0] if tables else ""}'.rstrip(),
        f'  gdalinfo "/vsicurl/{urls.of(outputs[0]) if outputs else urls.pattern}"',
    ]
    return "\n".join(lines)
