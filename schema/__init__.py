"""The shape of everything: rows, messages, errors, settings, tables. Imports nothing of ours."""
