"""The load: planned, copied, published, reported."""
