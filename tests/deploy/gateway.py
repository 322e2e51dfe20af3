"""
deploy/nginx.conf as it stands, only ports, paths and time-outs replaced, in a real nginx before real instances and a
login app.
"""

import datetime
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support import canaries, made_up, needed
from tests.support.docs import ROOT
from tests.support.running import Answer, Service, clean_environment, free_port, is_listening, wait_until

NAME = "app.example"
ALLOWED = "https://other.example"
CONF = (ROOT / "deploy" / "nginx.conf").read_text()
ADDRESSES = (f"127.{a}.{b}.{c}" for a in count(1) for b in range(256) for c in range(1, 255))


def certificate(folder: Path) -> Path:
    """Write a certificate of app.example, with its key beside it, and return where it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{NAME}.pem"
    path.write_bytes(signed.public_bytes(Encoding.PEM))
    (folder / f"{NAME}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def patient(conf: str) -> str:
    """Return a configuration that waits longer for what is behind it than a machine may stand still."""
    return re.sub(r"(timeout:? +)\d+s\b", r"\g<1>60s", conf)


class Gateway:
    """nginx with deploy/nginx.conf. Not started yet."""

    def __init__(self, folder: Path, instances: tuple[int, int], app: int, secret: Path | None = None) -> None:
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.certificate = certificate(folder)
        self._error_log = folder / "nginx-error.log"
        if secret is None:
            secret = folder / "authsvc-gateway-secret"
            secret.write_text(f'map "" $authsvc_gateway_secret {{ default "{made_up.GATEWAY_SECRET}"; }}\n')
        replaced = {
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "127.0.0.1:8001": f"127.0.0.1:{instances[0]}",
            "127.0.0.1:8002": f"127.0.0.1:{instances[1]}",
            "127.0.0.1:5000": f"127.0.0.1:{app}",
            "/etc/nginx/authsvc-gateway-secret": str(secret),
            "/etc/nginx/tls": str(folder),
            "/var/log/nginx": str(folder),
            f'# "{ALLOWED}" $http_origin;': f'"{ALLOWED}" $http_origin;',
        }
        conf = CONF
        for old, new in replaced.items():
            assert old in conf
            conf = conf.replace(old, new)
        conf = patient(conf)
        (folder / "authsvc.conf").write_text(conf)
        temporary = " ".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        user = "user root root;" if os.geteuid() == 0 else ""  # pytest's folders are closed to anybody else
        (folder / "nginx.conf").write_text(
            f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {self._error_log} notice; "
            f"events {{}} http {{ {temporary} include {folder}/authsvc.conf; }}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def test(self) -> str:
        """Return what `nginx -t` says, if it accepts the configuration."""
        done = subprocess.run(self._command("-t"), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(self._command(), env=clean_environment(), process_group=0)
        wait_until(lambda: is_listening(self.port), what=self.log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def log(self) -> str:
        """Return what it has logged, errors first."""
        return "".join(path.read_text() for path in (self._error_log, self.folder / "access.log") if path.exists())

    def context(self) -> ssl.SSLContext:
        """Return how a client that knows the certificate connects."""
        return ssl.create_default_context(cafile=self.certificate)

    def send(self, *pieces: bytes, address: str | None = None) -> bytes:
        """Send bytes over TLS, from an address of its own for nginx's limit if none is given; return the answer."""
        answer = b""
        with (
            socket.create_connection(
                ("127.0.0.1", self.port), timeout=60, source_address=(address or next(ADDRESSES), 0)
            ) as plain,
            self.context().wrap_socket(plain, server_hostname=NAME) as connection,
            suppress(OSError),
        ):
            for piece in pieces:
                connection.sendall(piece)
            while piece := connection.recv(65_536):
                answer += piece
        return canaries.checked(answer)

    def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: object = None) -> Answer:
        """Send one request as a browser does, and return the answer."""
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        text = b"" if body is None else json.dumps(body).encode()
        if text:
            lines += ["Content-Type: application/json"]
        if text or method == "POST":
            lines += [f"Content-Length: {len(text)}"]
        return read(self.send(request(f"{method} {path}", *lines) + text))

    def _command(self, *arguments: str) -> list[str]:
        conf = str(self.folder / "nginx.conf")
        return [needed.program("nginx"), "-p", str(self.folder), "-c", conf, "-e", str(self._error_log), *arguments]


def request(first: str, *lines: str | bytes) -> bytes:
    """Return a request's head, for a connection that is used once."""
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return b"\r\n".join((f"{first} HTTP/1.1".encode(), f"Host: {NAME}".encode(), b"Connection: close", *raw, b"", b""))


def read(answer: bytes) -> Answer:
    """Read one answer as it came over the socket."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    if headers.get("Transfer-Encoding") == "chunked":
        body = dechunked(body)
    return Answer(int(first.split(" ")[1]), headers, body)


def dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return whole


@contextmanager
def login_app() -> Iterator[int]:
    """Run the login app and give its port."""
    port = free_port()
    script = Path(__file__).with_name("login_app.py")
    process = subprocess.Popen([sys.executable, "-S", str(script), str(port)], env=clean_environment())
    try:
        wait_until(lambda: is_listening(port))
        yield port
    finally:
        process.kill()
        process.wait(60)


@contextmanager
def pair(folder: Path, **variables: str) -> Iterator[tuple[Service, Service]]:
    """Run two instances of the service that share their secrets and their store. Not started yet."""
    first = Service(folder)
    second = Service(folder)
    second.use_log(folder / "second.log")
    for service in (first, second):
        for name in [name for name in service.variables if "JWT" in name]:
            del service.variables[name]
        service.variables |= variables
    with ExitStack() as stack:
        stack.callback(second.stop)
        stack.callback(first.stop)
        yield first, second
