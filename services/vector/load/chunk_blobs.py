"""Chunks in the work container, as Arrow streams, for formats that can only be read from the front."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch

_OWN_FIELDS = (pa.field("fid", pa.int64()), pa.field("kind", pa.uint8()), pa.field("fault", FAULT_TYPE))

_WRITERS = 2
"""Chunks that are being stored while the next ones are read; more would only need memory."""


@contextmanager
def writing(prefix: str, store: Callable[[str, bytes], None]) -> Iterator[Callable[[int, list[SourceBatch]], str]]:
    """Return a function that stores the chunk of a number and returns its blob's name, while the caller reads on.

    All chunks are stored when the block ends; an error of `store` is raised by then.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_WRITERS) as threads:

        def write(number: int, batches: list[SourceBatch]) -> str:
            blob = f"{prefix}chunk-{number:06d}.arrow"
            waiting.append(threads.submit(lambda: store(blob, write_batches(batches))))
            if len(waiting) > _WRITERS:
                waiting.popleft().result()
            return blob

        yield write
        for future in waiting:
            future.result()


def write_batches(batches: Sequence[SourceBatch]) -> bytes:
    """Write the batches of a chunk as one Arrow IPC stream: fid, kind, fault, geometry, then the attributes."""
    sink = pa.BufferOutputStream()
    schema = _joined(batches[0]).schema
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        for batch in batches:
            writer.write_batch(_joined(batch))
    return bytes(sink.getvalue())


def read_batches(data: bytes) -> Iterator[SourceBatch]:
    """Read what write_batches wrote."""
    with pa.ipc.open_stream(data) as reader:
        for batch in reader:
            fids, kinds, faults, geometry = batch.columns[: len(_OWN_FIELDS) + 1]
            attributes = batch.select(range(len(_OWN_FIELDS) + 1, batch.num_columns))
            found = faults if faults.null_count < len(faults) else None
            yield SourceBatch(fids.to_numpy(), attributes, geometry, kinds.to_numpy(), found)


def _joined(batch: SourceBatch) -> pa.RecordBatch:
    # Fields may share a name, so places count here, not names.
    fields = [*_OWN_FIELDS, pa.field("geometry", batch.geometry.type), *batch.attributes.schema]
    faults = pa.nulls(len(batch.fids), FAULT_TYPE) if batch.faults is None else batch.faults
    columns = [pa.array(batch.fids), pa.array(batch.type_codes), faults, batch.geometry, *batch.attributes.columns]
    return pa.record_batch(columns, schema=pa.schema(fields))
