"""Starts the S3 store so that access needs its keys.

    python s3.py 8333 8334 weed mini -ip.bind=127.0.0.1 -s3.port=8334 ...

SeaweedFS checks keys only on its S3 port, and binds all its ports to one address. So it is bound to the loopback
address, and this program forwards the first port to the second. Exit status 2 if a key is missing.
"""

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping, Sequence
from functools import partial

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CHUNK_BYTES = 1 << 18


async def forward(inner_port: str, reader: StreamReader, writer: StreamWriter) -> None:
    """Forwards the bytes of one connection in both directions until both ends have closed it."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner_port)
    except OSError:  # the store has not started yet: the client sees a closed connection and retries
        writer.close()
        return
    await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
    inner_writer.close()
    writer.close()


async def copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Forwards the bytes of one direction until it ends."""
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:  # one end is closed: close the other too
        writer.close()


async def serve(port: str, inner_port: str, *command: str) -> int:
    """Runs the store and the forwarded port; returns the store's exit status."""
    store = await asyncio.create_subprocess_exec(*command)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, store.send_signal, number)
    await asyncio.start_server(partial(forward, inner_port), "0.0.0.0", port)
    status = await store.wait()
    return status if status >= 0 else 128 - status


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Starts the store if it has both keys; returns the exit status."""
    for name in KEYS:
        if not environ.get(name):
            sys.stderr.write(f"error: {name} is empty: set it, otherwise anybody could read and write\n")
            return 2
    return asyncio.run(serve(*argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
