"""
The app in front of which authsvc stands: it knows who is logged in by a cookie, and tells the gateway.

Started by tests as a process of its own: `python login_app.py PORT`. Every connection is closed after its answer.
"""

import asyncio
import sys

ANSWER = "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"


def answer(head: str) -> str:
    """Return the answer to a request, by its path and its cookie `session`, which names the user."""
    first, *lines = head.split("\r\n")
    path = first.split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if not path.startswith("/auth/check"):
        body = "\n".join(sorted(f"{name}: {value}" for name, value in headers.items() if name))
        return ANSWER.format(status="200 OK", length=len(body), headers="", body=body)
    user = headers.get("cookie", "").removeprefix("session=")
    if user == "broken":
        return ANSWER.format(status="500 Broken", length=0, headers="", body="")
    if not user:
        return ANSWER.format(status="401 Nobody", length=0, headers="", body="")
    who = "" if user == "nameless" else f"X-User: {user}\r\nX-Forwarded-User: {user}\r\n"
    return ANSWER.format(status="200 Known", length=0, headers=who, body="")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:  # somebody has looked whether this listens
        head = b""
    if head:
        writer.write(answer(head.decode("latin-1")).encode("latin-1"))
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
