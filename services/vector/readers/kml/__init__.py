"""KML and KMZ, read as a stream."""
