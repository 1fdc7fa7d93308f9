"""Where the API and the storage are, and the key: from options, the environment, or the running local stack.

Options win over the environment, and the environment over the local stack. One exception: where the API is that of the
local stack, so is the storage, unless an option names another. AZURE_STORAGE_CONNECTION_STRING belongs to other
programs too, and a file must not go to an account that the API does not read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from geostage_client.errors import ClientError, UsageError
from geostage_client.local_stack import LocalStack, find_stack, projects

API_VARIABLE = "GEOSTAGE_API"
KEY_VARIABLE = "GEOSTAGE_KEY"
STORAGE_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
ACCOUNT_VARIABLE = "AZURE_STORAGE_ACCOUNT"
_PREFIX = "/api"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    api: str | None = None
    key_file: str | None = None
    storage_account: str | None = None


@dataclass(frozen=True)
class Storage:
    """An account: a connection string, or the URL of its blob service, for which azure-identity signs in."""

    account_url: str | None = None
    connection_string: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Connection:
    """An API with its key and its storage."""

    api: str
    """Base URL with the route prefix, without a slash at its end."""
    origin: str
    """Where the URL was found, for messages."""
    key: str = field(default="", repr=False)
    key_origin: str = ""
    storage: Storage | None = None
    stack: LocalStack | None = None
    """The local stack that the API belongs to."""


def connect(options: Options, environment: Mapping[str, str]) -> Connection:
    """Return the connection that is meant. Raises ClientError when there is none, UsageError when one is malformed."""
    stack = next(filter(None, map(find_stack, projects(Path(sys.prefix), Path.cwd()))), None)
    named = options.api or environment.get(API_VARIABLE)
    if not named and stack is None:
        raise ClientError(
            "No local stack is running here, and no API is named.",
            remedy=f"Start a stack with ./dev up, or name the API with --api URL or {API_VARIABLE}.",
            code="no_api",
        )
    origin = "--api" if options.api else API_VARIABLE if named else f"the local stack '{stack.name if stack else ''}'"
    api = check_url(named, origin) if named else stack.api if stack else ""
    own = stack if stack and stack.api == api else None
    key, key_origin = _key(options, environment, own)
    return Connection(api, origin, key, key_origin, _storage(options, environment, own), own)


def check_url(text: str, origin: str) -> str:
    """Return an API's base URL; /api is added where there is no path. Raises UsageError.

    A query or a user would show up in every message, and `?code=` is where people keep their key.
    """
    try:
        parts = urlsplit(text.strip())
        malformed = parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1
    except ValueError:
        malformed = True
    if malformed:
        raise UsageError(f"{origin} is not a URL.", remedy="It looks like https://APP.azurewebsites.net/api.")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise UsageError(
            f"{origin} holds more than the address of the API.",
            remedy=f"Leave out the query and the user; the key belongs in {KEY_VARIABLE} or --key-file.",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or _PREFIX}"


def _key(options: Options, environment: Mapping[str, str], stack: LocalStack | None) -> tuple[str, str]:
    """Return the key, empty where there is none, and where it was found."""
    if options.key_file:
        try:
            text = Path(options.key_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not a text file"
            raise ClientError(
                f"The key file {options.key_file} cannot be read: {reason}.",
                remedy="Name a file that holds the function key and nothing else.",
                code="key_file_unreadable",
            ) from exc
        return _checked(text, "the file of --key-file")
    if environment.get(KEY_VARIABLE):
        return _checked(environment[KEY_VARIABLE], KEY_VARIABLE)
    return (stack.key, f"the local stack '{stack.name}'") if stack and stack.key else ("", "")


def _checked(text: str, origin: str) -> tuple[str, str]:
    """Return a key that can be a header's value, and its origin; an error about it must not show it."""
    key = text.strip()
    if key and key.isascii() and key.isprintable() and " " not in key:
        return key, origin
    raise ClientError(
        f"{origin[:1].upper()}{origin[1:]} does not hold a function key: one line of letters, digits and punctuation.",
        remedy="Copy it again: az functionapp keys list -g GROUP -n APP.",
        code="key_malformed",
    )


def _storage(options: Options, environment: Mapping[str, str], stack: LocalStack | None) -> Storage | None:
    if options.storage_account:
        return Storage(account_url=_account_url(options.storage_account))
    if stack:
        return Storage(connection_string=stack.storage_connection_string)
    if environment.get(STORAGE_VARIABLE):
        return Storage(connection_string=environment[STORAGE_VARIABLE])
    account = environment.get(ACCOUNT_VARIABLE)
    return Storage(account_url=_account_url(account)) if account else None


def _account_url(account: str) -> str:
    if "://" not in account:
        return f"https://{account}.blob.core.windows.net"
    parts = urlsplit(account)
    if parts.query or parts.username:
        # A shared access signature on the command line can be read by every user of the machine.
        raise UsageError(
            "The storage account is named with a query or a user.",
            remedy=f"Name the account alone; a shared access signature goes into {STORAGE_VARIABLE}.",
        )
    return account.rstrip("/")
