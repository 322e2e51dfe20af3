"""The shape of the code, read from its syntax: who imports what, where the clock is read, how secrets are compared."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "authsvc"

# Imports only point down: a module may import its own room and those above it in this list, and none beside it.
FLOOR = {"bind", "clock", "errors", "escaping", "ids", "message", "secret"}
ROOMS = (
    {"outbound"},
    {"stores"},
    {"auth", "payloads", "ratelimit"},
    {"vendor"},
    {"telemetry"},
    {"settings", "web"},
    {"logins"},
    {"app", "checks"},
    {"server"},
    {"sandbox"},
    {"demo", "testing"},
    {"cli", "testing_pytest"},
    {"__main__"},
)
ONLY_IN = {
    "flask": {"app", "web.flask_app", "demo.made_up_app"},
    "werkzeug": {
        "web.request",
        "web.answer",
        "web.accept_language",
        "web.public",
        "web.flask_app",
        "web.direct",
        "demo.door",
        "demo.made_up_app",
        "testing",
    },
    "gunicorn": {"server.gunicorn_arbiter", "server.gunicorn_worker", "server.gunicorn_http"},
    "granian": {"server.granian_server"},
    "structlog": {"telemetry.access_log"},
    "orjson": {"sandbox.jsontext", "telemetry.access_log", "telemetry.figures"},
    "prometheus_client": {"telemetry.exposition"},
    "opentelemetry": {"telemetry.spans", "telemetry.span_encoding"},
    "redis": {"stores.redis", "stores.topology", "stores.discovery", "stores.redis_client"},
    "hiredis": {"stores.redis_client"},
    "sqlite3": {"stores.sqlite"},
    "jwt": {"auth.tokens", "auth.token_keys", "testing"},
    "itsdangerous": {"auth.session_cookie"},
    "urllib3": {"outbound.http_client"},
    "pydantic": {
        "secret",
        "settings.types",
        "settings.apps_file",
        "settings.model",
        "settings.loader",
        "sandbox.persistence",
    },
    "aiohttp": {
        "sandbox.connection",
        "sandbox.control",
        "sandbox.engineio",
        "sandbox.gateway",
        "sandbox.loopback",
        "sandbox.rest.calls",
        "sandbox.rest.files",
        "sandbox.server",
        "sandbox.verification",
    },
    "imagesize": {"sandbox.files"},
    "pytest": {"testing_pytest"},
    "pydantic_core": {"secret"},
    "click": {"cli", "demo.process"},
}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
LONG = 250  # lines
SECRETIVE = ("signature", "digest", "secret", "token", "password", "_key")


def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def imports(name: str) -> Iterator[str]:
    """Yield what a module imports, those of the package as `authsvc.module`."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: written out in full, or it is not seen here"
            module = node.module or ""
            for alias in node.names:
                yield (
                    f"{module}.{alias.name}" if f"{module}.{alias.name}".removeprefix("authsvc.") in MODULES else module
                )


def room(name: str) -> str:
    """Return the room that a module is in; "" is the floor, which all stand on."""
    top = name.partition(".")[0]
    return "" if top in FLOOR else top


def level(name: str) -> int:
    found = [level for level, names in enumerate(({""}, *ROOMS)) if room(name) in names]
    assert len(found) == 1, f"{name} is in no room"
    return found[0]


def may_import(name: str, imported: str) -> bool:
    return level(imported) < level(name) or room(imported) == room(name)


def compared_secrets(source: str) -> list[str]:
    """Return the comparisons by == or != of something that is named like a secret."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(
            name.endswith(SECRETIVE)
            for side in (node.left, *node.comparators)
            for name in [ast.unparse(side).lower()]
            if isinstance(side, ast.Name | ast.Attribute)
        )
    ]


def catching_all(source: str) -> list[str]:
    """Return what catches any exception, and does not raise it again in the end."""
    nodes = list(ast.walk(ast.parse(source)))
    handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler) and not is_raised_again(node)]
    suppressed = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")]
    caught = [(node, [node.type]) for node in handlers] + [(node, node.args) for node in suppressed]
    return [ast.unparse(node) for node, kinds in caught if not all(map(is_known, kinds))]


def is_known(kind: ast.expr | None) -> bool:
    """Return whether what is caught, one kind or several, has a name that says what."""
    names = re.findall(r"\w+", "" if kind is None else ast.unparse(kind))
    return bool(names) and {"Exception", "BaseException"}.isdisjoint(names)


def is_raised_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_point_down(name: str) -> None:
    """A module imports nothing of a room above its own, nor of one beside it."""
    for imported in imports(name):
        if imported.startswith("authsvc."):
            assert may_import(name, imported.removeprefix("authsvc.")), f"{name} imports {imported}"


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("errors", "stores.sqlite"),
        ("stores.redis", "auth.tokens"),
        ("auth.jwks", "payloads.apps"),
        ("web.answer", "app"),
    ],
)
def test_an_import_that_points_up_would_be_found(name: str, imported: str) -> None:
    """The test above can fail."""
    assert not may_import(name, imported)


@pytest.mark.parametrize("name", sorted({room(name) for name in MODULES if "." in name}))
def test_a_room_describes_itself(name: str) -> None:
    """And what it may import, in the docstring of its __init__; it has ten modules or so."""
    docstring = ast.get_docstring(tree(name))
    assert docstring
    assert "import" in docstring, f"{name}: says nothing of what it may import"


def circle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Return modules of which each imports the next, and the last is the first; nothing if there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Nor do two of one room import each other, which the test above lets pass."""
    graph = {name: {one.removeprefix("authsvc.") for one in imports(name)} & MODULES.keys() for name in MODULES}
    assert circle(graph) == []


@pytest.mark.parametrize("graph", [{"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}, {"a": "a"}])
def test_a_circle_would_be_found(graph: dict[str, str]) -> None:
    """The test above can fail."""
    assert set(circle(graph)) == set(graph)


@pytest.mark.parametrize("name", MODULES)
def test_a_library_is_known_in_one_place(name: str) -> None:
    """Whoever replaces a library has one module to change."""
    for imported in imports(name):
        library = imported.partition(".")[0]
        assert name in ONLY_IN.get(library, {name}), f"{name} imports {library}"


@pytest.mark.parametrize("name", MODULES)
def test_the_clock_is_read_in_one_place(name: str) -> None:
    """The time of day comes from `clock`; monotonic clocks, for waiting, are free."""
    readings = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
    read = {ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)} & readings
    assert not read or name == "clock"


@pytest.mark.parametrize("name", MODULES)
def test_no_exception_is_caught_that_is_not_known(name: str) -> None:
    """Only the handler for 500 catches any exception, and only to log it."""
    # Flask's door has a handler of Flask's for it; the direct one catches by itself.
    assert len(catching_all(MODULES[name].read_text())) == (1 if name == "web.direct" else 0)


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept: pass",
        "try: f()\nexcept Exception: pass",
        "try: f()\nexcept (Exception, OSError): pass",
        "try: f()\nexcept (OSError, builtins.BaseException) as exc: log(exc)",
        "try: f()\nexcept BaseException: pass",
        "try: f()\nexcept BaseException:\n    if once: raise",
        "try: f()\nexcept* Exception: pass",
        "with suppress(OSError, Exception): f()",
        "with contextlib.suppress(BaseException): f()",
    ],
)
def test_an_exception_that_is_not_known_would_be_found(source: str) -> None:
    """The test above can fail."""
    assert catching_all(source)


@pytest.mark.parametrize(
    "source", ["try: f()\nexcept BaseException:\n    undo()\n    raise", "try: f()\nexcept OSError: pass"]
)
def test_what_is_raised_again_is_not_caught(source: str) -> None:
    """To clean up before an exception goes on is no catching."""
    assert catching_all(source) == []


@pytest.mark.parametrize("name", MODULES)
def test_secrets_are_compared_in_constant_time(name: str) -> None:
    """No == and no != on anything that is named like a secret."""
    assert compared_secrets(MODULES[name].read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["signature == other", "if given != self.master_secret: pass", "x = a.digest == b", "found = jwt_key == presented"],
)
def test_a_plain_comparison_would_be_found(source: str) -> None:
    """The test above can fail."""
    assert compared_secrets(source)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_describes_itself(name: str) -> None:
    """Its docstring is the first thing in it, and gives the reason if the module is a long one."""
    docstring = ast.get_docstring(tree(name))
    assert docstring
    assert len(MODULES[name].read_text().splitlines()) <= LONG or "One module" in docstring


def misnamed_imports(docstring: str, imported: Collection[str]) -> set[str]:
    """Return the names in sentences on imports that are not imported, and those missing after "only" or "nothing"."""
    wrong: set[str] = set()
    for sentence in re.split(r"(?<=\.) (?=[A-Z`])", " ".join(docstring.split())):
        _, verb, names = sentence.partition("mports ")
        if verb:
            named = set(re.findall(r"`([\w.]+)`", names))
            wrong |= named - {part for one in imported for part in one.split(".")}
        if verb and names.startswith(("nothing", "only")):
            wrong |= {one for one in imported if one.startswith("authsvc.") and one.rpartition(".")[2] not in named}
    return wrong


@pytest.mark.parametrize("name", MODULES)
def test_a_docstring_names_what_is_imported(name: str) -> None:
    """The docstring and the imports agree."""
    assert misnamed_imports(ast.get_docstring(tree(name)) or "", list(imports(name))) == set()


@pytest.mark.parametrize(
    ("docstring", "imported"),
    [
        ("A module. Imports `jwks` and\n`errors`.", ["authsvc.errors"]),
        ("The only module that imports `jwt`.", ["json"]),
        ("Pure; imports nothing of the project.", ["json", "authsvc.errors"]),
        ("Imports only `errors`.", ["authsvc.errors", "authsvc.auth.jwks"]),
    ],
)
def test_a_docstring_that_names_other_imports_would_be_found(docstring: str, imported: list[str]) -> None:
    """The test above can fail."""
    assert misnamed_imports(docstring, imported)
