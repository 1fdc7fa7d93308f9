"""Why storage refuses a request, by the error code of its answer: what is in the way, and what to do about it.

https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and .../common-rest-api-error-codes
"""

from __future__ import annotations

from dataclasses import dataclass

from azure.core.exceptions import HttpResponseError

from schema.errors import BlobBlocked, GeostageError, PermanentError, StorageDenied
from schema.settings import STORAGE_VARIABLE


@dataclass(frozen=True)
class _State:
    """A state of a blob that does not allow a request."""

    code: str
    """Ours."""
    says: str
    """Follows the name of the blob."""
    remedy: str


OUTAGES = (408, 429, *range(500, 600))
"""HTTP status of what passes by itself; so does a request that no answer came to."""
LOST_BLOCKS = "InvalidBlockList"
"""Of a commit whose blocks are gone, because another one of that blob came first."""
_PASSING = {
    "AccountBeingCreated": "the storage account is still being created",
    "ContainerBeingDeleted": "a container of this name is still being deleted",
    LOST_BLOCKS: "the blob was written by another worker at the same time",
    "OperationTimedOut": "the storage service did not answer in time",
    "PendingCopyOperation": "the blob is still being copied",
    "QueueBeingDeleted": "a queue of this name is still being deleted",
    "ServerBusy": "the storage service is busy",
}
"""Codes that pass by themselves although their status (409) says that the request is wrong."""
_ROLE = (
    "the identity of the app has no role that allows it",
    "Assign the role Storage {service} Data Contributor on the account to the app's identity, and wait ten minutes.",
)
_NETWORK = (
    "its firewall or its network settings keep the app out, or a SAS does not allow the operation",
    "Allow the app's network under Networking of the storage account, or give the account a private endpoint.",
)
_SIGNATURE = (
    "the key or SAS in the connection string is wrong, was replaced, or has expired",
    f"Set {STORAGE_VARIABLE} to a connection string of today; if it is right, check the clock of the app.",
)
_DENIED = {
    "AuthorizationPermissionMismatch": _ROLE,
    "InsufficientAccountPermissions": _ROLE,
    "AuthorizationFailure": _NETWORK,
    "AuthorizationSourceIPMismatch": _NETWORK,
    "AuthorizationResourceTypeMismatch": _SIGNATURE,
    "AuthorizationServiceMismatch": _SIGNATURE,
    "AuthenticationFailed": _SIGNATURE,
    "InvalidAuthenticationInfo": _SIGNATURE,
    "AuthorizationProtocolMismatch": (
        "it takes requests over HTTPS alone",
        "Use DefaultEndpointsProtocol=https in the connection string.",
    ),
    "KeyBasedAuthenticationNotPermitted": (
        "it does not allow account keys",
        f"Set {STORAGE_VARIABLE}__accountName instead of a connection string: the app then signs in with its identity.",
    ),
    "NoAuthenticationInformation": (
        "the request was not signed",
        f"Set {STORAGE_VARIABLE}__accountName, or a connection string with a key.",
    ),
    "PublicAccessNotPermitted": (
        "it allows no anonymous access",
        f"Set {STORAGE_VARIABLE}__accountName, or a connection string with a key.",
    ),
    "AccountIsDisabled": ("the account is disabled", "Check the subscription of the account: it may have ended."),
}
"""What keeps the app out of the account, and what to do about it."""
_ANY_DENIAL = (
    "it does not allow the request",
    "Check the roles of the app's identity and the network settings of the storage account.",
)
_ARCHIVED = _State(
    code="blob_archived",
    says="is in the Archive tier, in which its bytes cannot be read",
    remedy="Move it to the Hot tier (az storage blob set-tier --tier Hot); submit the job again when it is rehydrated, "
    "after up to 15 hours.",
)
_REHYDRATED = _State(
    code="blob_archived",
    says="is still being brought back from the Archive tier",
    remedy="Submit the job again when the blob's archive status is empty, after up to 15 hours.",
)
_IMMUTABLE = _State(
    code="blob_immutable",
    says="is protected by an immutability policy or a legal hold, so it cannot be replaced or deleted",
    remedy="Write to another container or version_id, or let whoever set the policy remove it.",
)
_LEASED = _State(
    code="blob_leased",
    says="is under a lease of another program, so it cannot be replaced or deleted",
    remedy="Wait until that program has released it, or break the lease (az storage blob lease break).",
)
_OTHER_TYPE = _State(
    code="blob_type_wrong",
    says="is a page blob or an append blob, which cannot be written as a block blob",
    remedy="Delete it, or choose another name.",
)
_BLOCKED = {
    "BlobArchived": _ARCHIVED,
    "BlobBeingRehydrated": _REHYDRATED,
    "BlobImmutableDueToPolicy": _IMMUTABLE,
    "BlobImmutableDueToLegalHold": _IMMUTABLE,
    "ImmutableStoragePolicyViolation": _IMMUTABLE,
    "InvalidBlobType": _OTHER_TYPE,
    "LeaseIdMissing": _LEASED,
    "LeaseIdMismatchWithBlobOperation": _LEASED,
    "LeaseIdMismatchWithContainerOperation": _LEASED,
    "LeaseLost": _LEASED,
    "LeaseNotPresentWithBlobOperation": _LEASED,
}
"""The state of the blob, by the code of the answer."""


def code_of(error: HttpResponseError) -> str | None:
    """Return the error code of an answer, as the service spells it; None without one."""
    code = getattr(error, "error_code", None)
    # The SDK's enumeration is a kind of str, but does not hash like one.
    return str(getattr(code, "value", code)) if code else None


def passing_reason(error: HttpResponseError) -> str | None:
    """Return why a request may succeed later, "" where nothing more is known; None if it never will."""
    code = code_of(error)
    if code in _PASSING:
        return _PASSING[code]
    return "" if error.status_code is None or error.status_code in OUTAGES else None


def is_blocked(error: HttpResponseError) -> bool:
    """Whether the state of the blob does not allow a request."""
    return code_of(error) in _BLOCKED


def refusal(error: HttpResponseError, what: str, service: str = "Blob") -> GeostageError:
    """Make the error for a request that will be refused again.

    Parameters
    ----------
    what
        The blob or container that was asked for, or the queue.
    service
        "Blob" or "Queue", as in the names of Azure's roles.
    """
    code, status = code_of(error), error.status_code
    if code in _BLOCKED:
        state = _BLOCKED[code]
        return BlobBlocked(f"{what} {state.says}.", remediation=state.remedy, code=state.code)
    if code in _DENIED or status in (401, 403):
        why, remedy = _DENIED.get(code or "", _ANY_DENIAL)
        return StorageDenied(
            f"The storage account refused access to {what}: {why} (HTTP {status}, {code or 'no code'}).",
            remediation=remedy.format(service=service),
        )
    return PermanentError(
        f"The storage service refused the request for {what}: HTTP {status}, {code or 'no code'}.",
        remediation="Look the code up in the error codes of the Blob service, and check the name and the blob.",
        code="storage_refused",
    )
