"""Chunks between the tasks of a job: what is handed on is what was found."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.vector.chunks import Chunk, FilePart, pack, unpack

numbers = st.integers(0, 2**40)
chunks = st.builds(
    Chunk,
    first_row=numbers,
    rows=numbers,
    first_fid=numbers,
    last_fid=numbers,
    blob=st.none() | st.text(max_size=5),
    part=st.none() | st.builds(FilePart, begin=numbers, end=numbers, first_row=numbers),
)


@given(chunks)
def test_a_chunk_is_the_same_after_it_was_json(chunk: Chunk) -> None:
    assert Chunk.from_json(json.loads(json.dumps(chunk.as_json()))) == chunk


@given(st.lists(chunks, max_size=5))
def test_packed_chunks_are_the_same_in_whatever_order_the_database_keeps_their_columns(found: list[Chunk]) -> None:
    assert unpack(json.loads(json.dumps(pack(found), sort_keys=True))) == found
