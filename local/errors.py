"""The errors of the local stack."""


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message says what is wrong and what to do."""


class MissingServer(StackError):
    """A server program (PostgreSQL, Azurite) is not installed: a laptop skips the tests that need it."""
