"""
The app in front of which authsvc stands: it knows who is logged in by a cookie, and tells the gateway.

Started by tests as a process of its own: `python login_app.py PORT`. Every connection is closed after its answer.
"""

import asyncio
import re
import sys

# What the user `old` is given: his session anew, for the client to keep.
RENEWED = ("session=new; Expires=Wed, 21 Oct 2099 07:28:00 GMT; HttpOnly; Path=/", "remember=me; Path=/; Secure")
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
    if user == "form":
        return ANSWER.format(status="302 Found", length=0, headers="Location: /login?next=/auth/check\r\n", body="")
    if not user or user == "ended":
        ended = "" if not user else "Set-Cookie: session=; Max-Age=0; Path=/\r\n"
        return ANSWER.format(status="401 Nobody", length=0, headers=ended, body="")
    who = "" if user == "nameless" else f"X-User: {user}\r\nX-Forwarded-User: {user}\r\n"
    if user == "old":
        who += "".join(f"Set-Cookie: {cookie}\r\n" for cookie in RENEWED)
    return ANSWER.format(status="200 Known", length=0, headers=who, body="")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:  # somebody has looked whether this listens
        head = b""
    if head:
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(answer(head.decode("latin-1")).encode("latin-1"))
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
