"""The version of Geostage, as the API document and the items of outputs state it."""

VERSION = "0.1.0"
