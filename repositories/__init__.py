"""Where state lives: the only code that talks to a server."""
