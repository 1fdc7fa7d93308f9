"""A local Azure Functions host: runs function_app.py as the real host would, in several worker processes."""
