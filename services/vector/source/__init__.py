"""The source of a load: fetched, unpacked, its layers opened."""
