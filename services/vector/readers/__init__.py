"""Readers, one per format: layers as batches of rows."""
