"""The two servers as an operator meets them: real processes, sockets and signals."""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from authsvc import __version__
from authsvc.bind import Bind, free
from authsvc.errors import SettingsError
from tests.conftest import bearer_of
from tests.support import made_up
from tests.support.running import (
    Answer,
    Service,
    clean_environment,
    free_port,
    is_listening,
    open_files,
    own_ports,
    threads,
    wait_until,
)

SERVERS = pytest.mark.parametrize("server", ["gunicorn", "granian"])
ISSUE = "/v1/auth-payload"


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8000", Bind("127.0.0.1", 8000)),
        ("localhost:0", Bind("localhost", 0)),
        ("[::1]:65535", Bind("::1", 65535)),
        ("unix:/run/a b.sock", Bind("", 0, Path("/run/a b.sock"))),
    ],
)
def test_bind(text: str, bind: Bind) -> None:
    """Where to listen is read, and written as it was."""
    assert Bind.parse(text) == bind
    assert str(bind) == text


@pytest.mark.parametrize("text", ["", "8000", ":8000", "::1:8000", "a:b", "a:65536", "unix:", "[::1]", "a:１"])
def test_no_bind(text: str) -> None:
    """Anything else is refused with the three forms."""
    with pytest.raises(ValueError, match=r"HOST:PORT, \[IPV6\]:PORT or unix:PATH"):
        Bind.parse(text)


@pytest.mark.parametrize(
    ("bound", "meant", "foreign"),
    [
        ("127.0.0.1", ("127.0.0.1:80", "localhost", "[::1]:1", "127.9.9.9"), ("evil.example", "10.0.0.1", "", ":80")),
        ("demo.internal", ("demo.internal", "DEMO.internal:80", "localhost"), ("internal", "x.demo.internal", "a:b")),
        ("0.0.0.0", ("10.0.0.1:80", "[2001:db8::1]", "localhost"), ("evil.example", "0x0a.1", "[::1")),  # noqa: S104 -- not listened on
        ("::", ("10.0.0.1", "[::]:80"), ("evil.example:80", "::1", "localhost.", "a@localhost", "localhost:")),
    ],
)
def test_what_a_request_means(bound: str, meant: tuple[str, ...], foreign: tuple[str, ...]) -> None:
    """This machine and the address listened on; a name that anybody can let resolve to it does not."""
    for address in meant:
        assert Bind(bound, 8000).is_meant_by(address)
    for address in foreign:
        assert not Bind(bound, 8000).is_meant_by(address)


def test_free_on_a_unix_socket(tmp_path: Path) -> None:
    """Where nothing is, where a server has died, but not where one listens; the place itself is left empty."""
    path = tmp_path / "a.sock"
    bind = Bind("", 0, path)
    assert free(bind) == bind
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(SettingsError, match="another process listens there"):
            free(bind)
    assert free(bind) == bind
    assert not path.exists()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def asked(connection: http.client.HTTPConnection, path: str = "/healthz") -> int:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return 0
    else:
        return answer.status
    finally:
        connection.close()


@SERVERS
def test_listens_on_a_unix_socket(service: Service, server: str) -> None:
    """Behind a gateway on the same host no port is needed; what a killed server left there does not matter."""
    path = service.folder / "authsvc.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    service.launch("--server", server, "--bind", f"unix:{path}", "--workers", "1")
    wait_until(lambda: asked(UnixConnection(path)) == 200, what=service.log)
    assert path.stat().st_mode & 0o777 == 0o660, "for a gateway of the same group"
    assert service.stop() == 0


@SERVERS
def test_who_connects_by_a_unix_socket_is_not_trusted(service: Service, server: str) -> None:
    """Its headers are a client's: none of them becomes the path, the scheme or the address. The mode is a choice."""
    path = service.folder / "authsvc.sock"
    service.launch("--server", server, "--bind", f"unix:{path}", "--workers", "1", "--socket-mode", "600")
    wait_until(lambda: asked(UnixConnection(path)) == 200, what=service.log)
    assert path.stat().st_mode & 0o777 == 0o600
    ready, absent = b"GET /problems/readyz HTTP/1.1", b"GET /nowhere HTTP/1.1"
    for first, line in (
        (ready, b"SCRIPT_NAME: /problems"),
        (ready, b"SCRIPT-NAME: /problems"),
        (absent, b"PATH_INFO: /healthz"),
        (absent, b"REMOTE_USER: ming"),
        (absent, b"X-Forwarded-Prefix: /nowhere"),
        (absent, b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"),
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.settimeout(60)
            client.sendall(first + b"\r\nHost: a\r\nConnection: close\r\n" + line + b"\r\n\r\n")
            answer = b"".join(iter(lambda client=client: client.recv(65_536), b""))  # type: ignore[misc] # a default binds it
        assert answer.split()[1] in {b"404", b"400"}, answer
        assert b"X-Forwarded" not in line or answer.split()[1] == b"404", answer


@SERVERS
def test_listens_on_ipv6(service: Service, server: str) -> None:
    """An address in brackets, as everywhere."""
    service.launch("--server", server, "--bind", f"[::1]:{service.port}", "--workers", "1")
    wait_until(
        lambda: asked(http.client.HTTPConnection("::1", service.port, timeout=60)) == 200,
        what=service.log,
    )
    assert service.stop() == 0


@pytest.mark.parametrize(
    ("bind", "server"),
    [
        ("taken", "gunicorn"),
        ("taken", "granian"),
        ("unix:taken", "gunicorn"),
        ("192.0.2.1:8000", "granian"),
        ("no-such-host.invalid:80", "gunicorn"),
        ("unix:/nonexistent/a.sock", "granian"),
    ],
)
def test_where_it_cannot_listen(service: Service, server: str, bind: str) -> None:
    """A place where nothing can listen ends the start with one line and exit code 2."""
    del service.variables["AUTHSVC_GATEWAY_SECRET_FILE"]
    path = service.folder / "taken.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_UNIX) as taken_too:
        taken_too.bind(str(path))
        taken_too.listen()
        places = {"taken": f"127.0.0.1:{taken.getsockname()[1]}", "unix:taken": f"unix:{path}"}
        assert service.launch("--server", server, "--bind", places.get(bind, bind)).wait(60) == 2
    (line,) = service.log().splitlines()
    assert "--bind: cannot listen on" in line


def test_granian_is_an_extra(service: Service, tmp_path: Path) -> None:
    """Where it is not installed, the start says how to get it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['granian'] = None\nimport importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'granian' else find(name, *rest)\n"
    )
    service.variables["PYTHONPATH"] = str(tmp_path)
    assert service.launch("--server", "granian", "--bind", f"127.0.0.1:{service.port}").wait(60) == 2
    assert "pip install '.[granian]'" in service.log()
    assert "Traceback" not in service.log()


def test_granian_refuses_a_header_with_a_twin(service: Service) -> None:
    """If nobody can log in there the start is refused; if somebody can, the log says what does not count."""
    jwt = {name: service.variables.pop(name) for name in ("AUTHSVC_JWT_KEY_FILE", "AUTHSVC_JWT_ALGORITHMS")}
    arguments = ("--server", "granian", "--bind", f"127.0.0.1:{service.port}", "--workers", "1")
    assert service.launch(*arguments).wait(60) == 2
    assert "X-Forwarded-User is not safe under granian" in service.log()
    service.variables |= jwt
    service.start(*arguments)
    assert '"level":"warning"' in service.log()
    assert service.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200


def gateway(**headers: str) -> dict[str, str]:
    return {"X-Gateway-Secret": made_up.GATEWAY_SECRET} | headers


def test_granian_takes_a_header_without_a_twin(service: Service) -> None:
    """A name without a hyphen has none."""
    for name in ("AUTHSVC_JWT_KEY_FILE", "AUTHSVC_JWT_ALGORITHMS"):
        del service.variables[name]
    service.variables["AUTHSVC_GATEWAY_USER_HEADER"] = "RemoteUser"
    service.start("--server", "granian", "--workers", "1")
    assert service.ask("POST", ISSUE, headers=gateway(RemoteUser="ming")).status == 200


class Slow:
    """A request that is begun and not finished: its body is still to come."""

    def __init__(self, port: int) -> None:
        authorization = bearer_of("ming")["Authorization"]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(
            f"POST {ISSUE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{".encode()
        )

    def finish(self) -> bytes:
        """Send what is missing and return the answer."""
        self.socket.sendall(b"}")
        answer = b""
        while not answer.endswith(b"}") and (piece := self.socket.recv(65_536)):
            answer += piece
        self.socket.close()
        return answer


def ready(service: Service) -> Answer | None:
    try:
        return service.ask("GET", "/readyz")
    except OSError:
        return None


def is_draining(service: Service) -> bool:
    answer = ready(service)
    return answer is not None and answer.status == 503


@SERVERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_while_it_drains(service: Service, server: str, number: signal.Signals) -> None:
    """On the first signal it says that it is not ready, and goes on serving; whoever cannot wait asks twice."""
    service.variables["AUTHSVC_DRAIN_DELAY_S"] = "300"
    service.start("--server", server, "--workers", "2")
    service.signal(number)
    wait_until(lambda: is_draining(service), what=service.log)
    told = ready(service)
    assert told is not None
    assert "draining: yes" in str(told.json()["detail"])
    assert service.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    service.signal(number)
    assert service.process is not None
    assert service.process.wait(60) == 0


# As shipped, gunicorn gives a request five seconds to come, which a machine may stand still for.
PATIENT_WITH_REQUESTS = """
from authsvc.server import limits
limits.READ_S = limits.ANSWERED_S = 60
from authsvc.__main__ import main
main()
"""


@SERVERS
def test_finishes_what_it_has_begun(service: Service, server: str) -> None:
    """After the delay it stops accepting, answers what it has begun, and ends well."""
    service.variables["AUTHSVC_DRAIN_DELAY_S"] = "1"
    service.command = (sys.executable, "-c", PATIENT_WITH_REQUESTS, "serve")
    service.start("--server", server, "--workers", "2")
    slow = Slow(service.port)
    service.signal(signal.SIGTERM)
    wait_until(lambda: ready(service) is None, what=service.log)
    assert b"200 OK" in slow.finish()
    assert service.process is not None
    assert service.process.wait(60) == 0


@SERVERS
def test_ctrl_c_drains_too(service: Service, server: str) -> None:
    """A terminal sends its signal to the whole group; the workers leave it to their parent."""
    service.variables["AUTHSVC_DRAIN_DELAY_S"] = "300"
    service.start("--server", server, "--workers", "2")
    assert service.process is not None
    os.killpg(service.process.pid, signal.SIGINT)
    wait_until(lambda: is_draining(service), what=service.log)
    assert service.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.process.wait(60) == 0  # granian gives a worker that does not stop 30 s


@SERVERS
def test_what_the_start_logs(service: Service, server: str) -> None:
    """One line: the version, where and on what it serves, who may log in, and the store; no password."""
    service.variables["AUTHSVC_STORE_URL"] = f"redis://user:{made_up.ACCOUNT_KEY}@127.0.0.1:9/1"
    service.start("--server", server, "--workers", "2")
    lines = [json.loads(line) for line in service.log().splitlines() if "2 worker(s)" in line]
    (line,) = lines
    assert line["event"] == (
        f"authsvc {__version__} on 127.0.0.1:{service.port} with {server}, 2 worker(s); 1 app(s); ways of logging in:"
        " Authorization: Bearer <token>, X-Forwarded-User from the gateway; store: Redis at 127.0.0.1:9"
    )


@SERVERS
def test_hup_changes_nothing(service: Service, server: str) -> None:
    """The same workers go on; changed files are seen without it."""
    service.start("--server", server, "--workers", "2")
    service.wait_for_workers(2)
    before = service.workers()
    service.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in service.log(), what=service.log)
    assert service.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
    assert service.workers() == before


@SERVERS
def test_a_stop_right_after_the_start(service: Service, server: str) -> None:
    """A signal that comes while workers are still being made is not lost on any of them."""
    service.start("--server", server, "--workers", "4")
    service.signal(signal.SIGTERM)
    assert service.process is not None
    wait_until(lambda: service.process is None or service.process.poll() is not None, what=service.log)
    assert service.process.returncode == 0, service.log()


@SERVERS
def test_a_killed_worker_is_replaced(service: Service, server: str) -> None:
    """The service goes on with the others and has a new one soon."""
    service.start("--server", server, "--workers", "2")
    service.wait_for_workers(2)
    before = service.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(service.workers() - {victim}) == 2, what=service.log)
    wait_until(lambda: asked(http.client.HTTPConnection("127.0.0.1", service.port)) == 200)


def test_a_worker_that_ends_takes_nothing_with_it(service: Service) -> None:
    """One that gunicorn aborts unwinds through its parent's code; the drain works all the same."""
    service.variables["AUTHSVC_DRAIN_DELAY_S"] = "300"
    service.start("--workers", "2")
    victim = min(service.wait_for_workers(2))
    os.kill(victim, signal.SIGABRT)
    wait_until(lambda: len(service.workers() - {victim}) == 2, what=service.log)
    service.signal(signal.SIGTERM)
    wait_until(lambda: is_draining(service), what=service.log)


HANG_SOON = """
import sys
from authsvc.server import gunicorn_arbiter, runner
from authsvc.bind import Bind

runner.HUNG_S, runner.BEAT_S = 5, 0.2  # longer than a machine may stand still
if sys.argv[1] == "gunicorn":
    class Impatient(gunicorn_arbiter._Gunicorn):
        def load_config(self):
            super().load_config()
            self.cfg.set("timeout", 5)
    gunicorn_arbiter._Gunicorn = Impatient

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]

runner.serve(sys.argv[1], Bind.parse(sys.argv[2]), workers=2, drain_delay_s=0, log_level="ERROR", load=lambda _: app)
"""


@SERVERS
def test_a_worker_that_hangs_is_replaced(service: Service, server: str) -> None:
    """One that shows no sign of life is killed and replaced, and the log says so; the other one is left alone."""
    service.command = (sys.executable, "-c", HANG_SOON, server, f"127.0.0.1:{service.port}")
    service.launch()
    wait_until(lambda: [threads(pid) >= 2 for pid in service.workers()] == [True] * 2, what=service.log)
    hanging, other = service.workers()
    os.kill(hanging, signal.SIGSTOP)
    wait_until(lambda: hanging not in service.workers(), what=service.log)
    wait_until(lambda: len(service.workers()) == 2, what=service.log)
    assert other in service.workers()
    assert f"worker {hanging} has hung for 5 s" in service.log() or f"WORKER TIMEOUT (pid:{hanging})" in service.log()
    assert service.stop() == 0


@SERVERS
def test_workers_end_with_their_parent(service: Service, server: str) -> None:
    """When the parent is killed nobody is left holding the port."""
    service.start("--server", server, "--workers", "2")
    service.wait_for_workers(2)
    workers = service.workers()
    service.signal(signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in workers), what=service.log)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@SERVERS
def test_idle_connections_stop_nobody(service: Service, server: str) -> None:
    """More connections are kept open than there are threads, and somebody new is served at once."""
    service.start("--server", server, "--workers", "1")
    with ExitStack() as stack:
        idle = [
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)))
            for _ in range(200)
        ]
        for connection in idle:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        assert service.ask("POST", ISSUE, headers=bearer_of("ming")).status == 200
        for connection in idle[:50]:
            connection.request("POST", ISSUE, headers=bearer_of("ming"))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200


def test_a_changed_secret_that_breaks_the_start(service: Service) -> None:
    """Settings that cannot be used end the start with all faults, before any worker is made."""
    service.variables |= {"AUTHSVC_RATE_LIMIT": "many", "AUTHSVC_FLAG": "7"}
    assert service.launch("--bind", f"127.0.0.1:{service.port}").wait(60) == 2
    assert len(service.log().splitlines()) == 2


SHOW_THE_ENVIRON = """
import os, sys
from authsvc.server import runner
from authsvc.bind import Bind
from authsvc.settings import loader

def app(environ, start_response):
    start_response("200 OK", [])
    return [repr(environ).encode()]

loader.take(os.environ)
runner.serve(sys.argv[1], Bind.parse(sys.argv[2]), workers=1, drain_delay_s=0, log_level="ERROR", load=lambda _: app)
"""


@SERVERS
def test_no_secret_in_a_requests_environ(server: str) -> None:
    """granian copies the process's variables into every request's environ, but the secrets among them are gone then."""
    port = free_port()
    variables = clean_environment() | {"AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET}
    command = [sys.executable, "-c", SHOW_THE_ENVIRON, server, f"127.0.0.1:{port}"]
    with subprocess.Popen(command, env=variables) as process:
        try:
            wait_until(lambda: is_listening(port))
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", "/a", headers={"X-Asked": "yes"})
                environ = connection.getresponse().read().decode()
        finally:
            process.terminate()
    assert "'HTTP_X_ASKED': 'yes'" in environ
    assert made_up.MASTER_SECRET not in environ
    assert ("'PATH':" in environ) == (server == "granian")


def test_imports_are_quick_and_quiet() -> None:
    """Importing the command line starts nothing, and leaves the servers' own imports to `serve`."""
    code = "import authsvc.cli, sys; print('granian' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_gunicorns_workers_share(service: Service) -> None:
    """A worker that hangs keeps nobody waiting; when it is well again it is left what comes until it has as many."""
    service.start("--server", "gunicorn", "--workers", "2")
    hanging, other = service.wait_for_workers(2)
    lead, idle = 60, max(map(open_files, (hanging, other)))

    def connect(stack: ExitStack) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        stack.enter_context(closing(connection)).request("GET", "/healthz")
        assert connection.getresponse().read()

    def catches_up() -> bool:
        with ExitStack() as stack:
            os.kill(hanging, signal.SIGSTOP)
            try:
                for _ in range(lead):
                    connect(stack)
            finally:
                os.kill(hanging, signal.SIGCONT)
            assert open_files(other) - open_files(hanging) > lead / 2
            for _ in range(2 * lead):  # by chance alone it would hardly ever get so many more of them than the other
                if open_files(hanging) > 0.7 * open_files(other):  # the other's count is to be 0.8 of its own at least
                    return True
                connect(stack)
                time.sleep(0.02)  # so that it is awake for most of them, on a busy machine too
        wait_until(lambda: max(map(open_files, (hanging, other))) < idle + lead / 10, what=service.log)
        return False

    # Where it does not come for connections because the machine lets it stand still, the other one has to take them.
    assert any(catches_up() for _ in range(3)), f"{open_files(hanging)} and {open_files(other)} files are open"
    assert service.stop() == 0


@SERVERS
def test_a_cpu_for_each_worker(service: Service, server: str) -> None:
    """With as many workers as CPUs each keeps to one, and so does who replaces it; with one more all have them all."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    service.prefix = ("taskset", "--cpu-list", ",".join(map(str, cpus)))

    def have(expected: list[set[int]]) -> bool:
        """Return whether these are the CPUs of the workers, with all of their threads."""
        try:
            tasks = [[int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()] for pid in service.workers()]
            found = [set().union(*map(os.sched_getaffinity, some)) for some in tasks]
        except (FileNotFoundError, ProcessLookupError):  # one has ended since
            return False
        return sorted(found, key=sorted) == expected

    service.start("--server", server, "--workers", str(len(cpus)))
    first, *_ = service.wait_for_workers(len(cpus))
    wait_until(lambda: have([{cpu} for cpu in cpus]), what=service.log)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: first not in service.workers(), what=service.log)
    service.wait_for_workers(len(cpus))
    wait_until(lambda: have([{cpu} for cpu in cpus]), what=service.log)
    assert service.stop() == 0
    service.start("--server", server, "--workers", str(len(cpus) + 1))
    service.wait_for_workers(len(cpus) + 1)
    wait_until(lambda: have([set(cpus)] * (len(cpus) + 1)), what=service.log)


def test_what_is_imported_is_out_of_the_collectors_way() -> None:
    """The garbage collector does not run while the command is imported; then it works as ever, on what comes later."""
    code = (
        "import atexit, gc, sys; sys.argv = ['authsvc', '--version'];"
        "from authsvc.__main__ import main; from importlib.machinery import SourceFileLoader as Loader; seen = [];"
        "run = Loader.exec_module; Loader.exec_module = lambda *given: seen.append(gc.isenabled()) or run(*given);"
        "atexit.register(lambda: print(set(seen), gc.isenabled(), gc.get_freeze_count() > 50_000)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "{False} True True"


@pytest.mark.parametrize("store_url", ["sqlite://{folder}/shared.db", "redis://127.0.0.1:{port}"])
def test_workers_share_what_they_import(store_url: str, tmp_path: Path) -> None:
    """After `preload` the service is built without another import, but for a few of Python's own modules."""
    url = store_url.format(folder=tmp_path, port=free_port())
    code = (
        "import os, sys; from authsvc import app; from authsvc.settings import loader, model;"
        "app.preload(loader.load(os.environ, model.Settings)); before = set(sys.modules); app.create_app();"
        "print({name for name in set(sys.modules) - before if name.partition('.')[0] not in sys.stdlib_module_names})"
    )
    variables = {
        "AUTHSVC_METRICS_BIND": "127.0.0.1:9",
        "AUTHSVC_APPKEY": made_up.APPKEY,
        "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
        "AUTHSVC_JWT_KEY": made_up.JWT_KEY,
        "AUTHSVC_JWT_ALGORITHMS": "HS256",
        "AUTHSVC_STORE_URL": url,
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 1_000, "872 1000"), (1_000, 1_000, "872 1000"), (40, 40, "33 40"), (20_000, 20_000, "16256 20000")],
)
def test_as_many_connections_as_files(soft: int, hard: int, expected: str) -> None:
    """A worker asks for all the files that it may have, and keeps a few of them for itself."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip(f"{hard} files are not to be had here")
    code = (
        "import resource; from authsvc.server.limits import connections;"
        f"limits = resource.RLIMIT_NOFILE, ({soft}, {hard});"
        "resource.setrlimit(*limits); print(connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == expected


def test_where_files_are_fewer_than_the_system_tells() -> None:
    """macOS calls its limit none and gives no more than 10 240: the service starts with what it has."""
    code = (
        "import resource; from authsvc.server.limits import connections\n"
        "def refuse(*_): raise ValueError('current limit exceeds maximum limit')\n"
        "resource.getrlimit = lambda _: (256, resource.RLIM_INFINITY); resource.setrlimit = refuse\n"
        "print(connections())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "128"


def test_free_ports_are_free() -> None:
    """The suite's own helper gives a port that can be listened on, and another one each time."""
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", ports[0]))


def test_each_worker_has_ports_of_its_own() -> None:
    """What one worker of pytest-xdist finds free no other one is given, and no client either."""
    shares = [set(own_ports(worker, 3)) for worker in range(3)]
    assert len(set().union(*shares)) == sum(map(len, shares))
    (least, _) = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(map(max, shares)) < int(least)
