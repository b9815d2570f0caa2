"""The other servers that examples need, each the least that will do: in processes of their own, at the port asked for.

servers.py mqtt|postgres|mongodb PORT
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import struct
import sys
from asyncio import StreamReader, StreamWriter
from typing import Any

CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14
OP_MSG, OP_REPLY = 2013, 1


async def mqtt(reader: StreamReader, writer: StreamWriter) -> None:
    """Accept each client, and take what it publishes."""
    while True:
        kind = (await reader.readexactly(1))[0] >> 4
        length = shift = 0
        more = 0x80
        while more & 0x80:
            more = (await reader.readexactly(1))[0]
            length |= (more & 0x7F) << shift
            shift += 7
        await reader.readexactly(length)
        if kind == CONNECT:
            writer.write(b"\x20\x02\x00\x00")
        elif kind == PINGREQ:
            writer.write(b"\xd0\x00")
        elif kind == DISCONNECT:
            writer.close()
            return


def _postgres(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def postgres(reader: StreamReader, writer: StreamWriter) -> None:
    """Accept each client without a password; each query has an empty answer."""
    while True:  # start-up messages, which have no kind: an offer to encrypt comes first
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        (code,) = struct.unpack("!I", (await reader.readexactly(length - 4))[:4])
        if code == 196608:  # protocol 3.0
            break
        writer.write(b"N")
    ready = _postgres(b"Z", b"I")
    settings = b"".join(
        _postgres(b"S", b"%s\0%s\0" % pair)
        for pair in (
            (b"client_encoding", b"UTF8"),
            (b"server_version", b"17.0"),
            (b"standard_conforming_strings", b"on"),
        )
    )
    writer.write(_postgres(b"R", struct.pack("!I", 0)) + settings + ready)
    done = _postgres(b"C", b"SELECT 0\0")
    answers = {
        b"P": _postgres(b"1"),
        b"B": _postgres(b"2"),
        b"D": _postgres(b"n"),
        b"E": done,
        b"S": ready,
        b"Q": done + ready,
    }
    while (kind := await reader.readexactly(1)) != b"X":
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(answers.get(kind, b""))
    writer.close()


async def mongodb(reader: StreamReader, writer: StreamWriter) -> None:
    """A server of its own without documents."""
    bson = importlib.import_module("bson")  # of pymongo, which only this server needs

    for number in itertools.count(1):
        length, request, _, operation = struct.unpack("<iiii", await reader.readexactly(16))
        body = await reader.readexactly(length - 16)
        answer: dict[str, Any] = {
            "ok": 1.0,
            "isWritablePrimary": True,
            "ismaster": True,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "maxBsonObjectSize": 1 << 24,
            "maxMessageSizeBytes": 48000000,
            "maxWriteBatchSize": 100000,
            "readOnly": False,
            "helloOk": True,
            "logicalSessionTimeoutMinutes": 30,
        }
        if operation == OP_MSG:
            question = bson.decode(body[5:])
            if "find" in question:
                answer = {
                    "ok": 1.0,
                    "cursor": {"id": bson.Int64(0), "ns": f"{question['$db']}.{question['find']}", "firstBatch": []},
                }
            out = struct.pack("<iB", 0, 0) + bson.encode(answer)
            head = struct.pack("<iiii", 16 + len(out), number, request, OP_MSG)
        else:
            out = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(answer)
            head = struct.pack("<iiii", 16 + len(out), number, request, OP_REPLY)
        if operation == OP_MSG and struct.unpack("<i", body[:4])[0] & 2:  # more to come: no answer is wanted
            continue
        writer.write(head + out)


async def main(name: str, port: int) -> None:
    """Serve until ended."""
    serve = {"mqtt": mqtt, "postgres": postgres, "mongodb": mongodb}[name]

    async def served(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(served, "0.0.0.0", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
