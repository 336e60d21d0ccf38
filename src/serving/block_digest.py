"""A digest of rows, by which an interrupted prediction recognises the table that it had begun."""

import hashlib

import numpy as np
import pandas as pd


def extend_digest(before: str, frame: pd.DataFrame) -> str:
    """The digest of all rows up to the end of a block.

    Args:
        before: the digest of the rows before it; empty for the first block.
        frame: the block; equal values of other types (1 and 1.0) give another digest.

    Returns:
        SHA-256 as hexadecimal text.
    """
    digest = hashlib.sha256(before.encode())
    for name, column in frame.items():
        digest.update(f"{name}\0{column.dtype}\0{len(column)}\0".encode("utf-8", "surrogateescape"))
        digest.update(_bytes_of(column))
    return digest.hexdigest()


def _bytes_of(column: pd.Series) -> memoryview | bytes:
    import pyarrow as pa

    if column.dtype.kind in "biufM" and not isinstance(column.dtype, pd.api.extensions.ExtensionDtype):
        return column.to_numpy().view("u1").data
    if column.dtype == object:  # may hold several types
        return "\0".join(map(repr, column)).encode("utf-8", "surrogateescape")
    values = pa.array(column, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    # Copied, because the buffers of a slice hold bits of other rows too.
    copied = values.take(np.arange(len(values)))
    return memoryview(pa.record_batch([copied], ["values"]).serialize())
