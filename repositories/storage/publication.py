"""Publishing a blob of blocks: readers see all of it or none, and no output of another source is replaced."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import IO, Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

from repositories.storage.provenance import MARK, check_mark, mark_of, output_contested
from repositories.storage.refusals import LOST_BLOCKS, code_of, is_blocked

BLOCK_BYTES = 16 * 1024 * 1024
"""A blob has at most 50,000 blocks, so the largest has 800 GB."""


def publish(
    client: BlobClient,
    in_container: Callable[[Callable[[], Any]], Any],
    file: IO[bytes],
    attempt: int,
    settings: ContentSettings,
    made_of: str | None,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Upload a file as blocks and commit them, see Blobs.publish; `in_container` makes the container if it is missing.

    Raises the SDK's errors, PermanentError and OutputContested.
    """
    # Uncommitted blocks belong to the name, not to their sender: with ids of the attempt alone, two jobs that publish
    # one name at once could commit each other's. With a random part one blob is whole, and the other job is refused.
    own = f"{uuid4().hex[:8]}-{attempt:08d}"
    unless_changed = _hold(client, made_of) if made_of else {}
    ids = []
    for number, data in enumerate(iter(lambda: file.read(block_bytes), b"")):
        block_id = base64.b64encode(f"{own}-{number:08d}".encode()).decode()
        in_container(lambda i=block_id, d=data: client.stage_block(i, d))  # type: ignore[misc]
        ids.append(block_id)
    blocks = [BlobBlock(block_id=block_id) for block_id in ids]
    try:
        in_container(lambda: client.commit_block_list(blocks, content_settings=settings, **unless_changed))
    except HttpResponseError as exc:
        # The SDK makes the two of any 409 and 412, among them those of a lease or an immutability policy. A commit of
        # another worker drops the blocks that it does not name, so that ours cannot be committed.
        is_contested = isinstance(exc, ResourceExistsError | ResourceModifiedError) or code_of(exc) == LOST_BLOCKS
        if is_blocked(exc) or not is_contested:
            raise
        if not _is_committed(client, ids):
            raise output_contested(f"{client.container_name}/{client.blob_name}") from exc


def _is_committed(client: BlobClient, ids: list[str]) -> bool:
    """Whether a blob consists of these blocks: the SDK repeats a commit whose answer was lost, and meets its own."""
    try:
        committed, _ = client.get_block_list("committed")
    except ResourceNotFoundError:
        return False
    # Without blocks it could be anybody's empty blob.
    return bool(ids) and [block.id for block in committed] == ids


def _hold(client: BlobClient, made_of: str) -> dict[str, Any]:
    """Return the mark of an output, and the condition that it is as it was seen now. Raises PermanentError."""
    own = mark_of(made_of)
    try:
        known = client.get_blob_properties()
    except ResourceNotFoundError:
        return {"metadata": {MARK: own}, "match_condition": MatchConditions.IfMissing}
    check_mark(f"{client.container_name}/{client.blob_name}", known.metadata.get(MARK), made_of)
    return {"metadata": {MARK: own}, "etag": known.etag, "match_condition": MatchConditions.IfNotModified}
