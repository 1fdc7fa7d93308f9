"""Asks a STAC API as a user of pystac-client does. Runs in the virtual environment of the STAC API; prints JSON."""

import json
import sys

from pystac_client import Client

url, collection, bbox = sys.argv[1], sys.argv[2], [float(part) for part in sys.argv[3].split(",")]
client = Client.open(url)
found = list(client.search(collections=[collection], bbox=bbox).items())
elsewhere = list(client.search(collections=[collection], bbox=[-60, -60, -50, -50]).items())
later = list(client.search(collections=[collection], datetime="2030-01-01/..").items())
described = client.get_collection(collection)
json.dump(
    {
        "found": [item.to_dict() for item in found],
        "elsewhere": [item.id for item in elsewhere],
        "later": [item.id for item in later],
        "extent": described.extent.to_dict() if described else None,
    },
    sys.stdout,
)
