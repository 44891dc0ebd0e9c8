"""A small app for very many hosts on one machine: the template's answers, by the standard library alone."""

import asyncio
import json

from .about import about


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection, which stays open."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            body = json.dumps(about()).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
    except (OSError, EOFError):
        writer.close()


async def serve(bind: str, port: int) -> None:
    """Serve until SIGTERM, which ends it at once."""
    async with await asyncio.start_server(answer, bind, port) as server:
        await server.serve_forever()
