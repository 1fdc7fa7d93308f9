"""The local stack and the local Functions host: tools for development, never imported by the product."""
