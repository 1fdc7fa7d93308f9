"""The commands: each takes a session and its options, prints, and returns the exit code."""
