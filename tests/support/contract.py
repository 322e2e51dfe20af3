"""
The contract, read once, and what an answer must be to keep it. For any test that has an answer in hand.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import jsonschema_rs
import yaml
from werkzeug.wrappers import Response

PATH = Path(__file__).parents[2] / "openapi.yaml"
DOCUMENT: Mapping[str, Any] = yaml.safe_load(PATH.read_bytes())
NO_ROUTE = "/components/responses/NoSuchRoute"
NO_METHOD = "/components/responses/MethodNotAllowed"

_URI = "urn:authsvc"
_REGISTRY = jsonschema_rs.Registry([(_URI, cast("dict[str, Any]", DOCUMENT))], draft=jsonschema_rs.Draft202012)
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
# HTTP's own headers and those of CORS are not an operation's to document.
_UNDOCUMENTED = ("content-type", "content-length", "access-control-")


def operations() -> dict[str, str]:
    """Return where each operation stands in the document, by its name: `POST /v1/auth-payload`."""
    return {
        f"{method.upper()} {path}": f"/paths/{_escape(path)}/{method}"
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method in _METHODS
    }


def responses(operation: str) -> dict[int, str]:
    """Return where each response of an operation stands in the document, by its status."""
    pointer = f"{operations()[operation]}/responses"
    return {int(status): resolve(f"{pointer}/{status}") for status in at(pointer)}


def refusals(pointer: str) -> set[str]:
    """Return the names of the refusals that the response at the pointer has an example of."""
    return set(at(pointer).get("content", {}).get("application/problem+json", {}).get("examples", {}))


def check_answer(answer: Response, operation: str) -> None:
    """Fail unless the answer is one that the operation may give: status, headers, media type, body."""
    known = responses(operation)
    assert answer.status_code in known, f"{operation} has no response {answer.status_code}"
    check_response(answer, known[answer.status_code])


def check_response(answer: Response, pointer: str) -> None:
    """Fail unless the answer has the headers, the media type and the body of the response at the pointer."""
    _check_headers(answer, pointer)
    if "content" not in at(pointer):
        assert not answer.content_type
        assert not answer.get_data()
        return
    mimetype = str(answer.mimetype)
    assert mimetype in at(pointer)["content"], f"{pointer} has no {mimetype}"
    check_value(_body(answer), f"{pointer}/content/{_escape(mimetype)}/schema")


def check_value(value: object, pointer: str) -> None:
    """Fail unless the value is valid under the schema at the pointer."""
    schema = {"$ref": f"{_URI}#{quote(pointer, safe='/~')}"}
    validator = jsonschema_rs.Draft202012Validator(schema, registry=_REGISTRY)
    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(cast("Any", value))]
    assert errors == [], f"{pointer}: {value!r}"


def examples() -> Iterator[tuple[str, Any, str]]:
    """Yield every example: where it stands in the document, its value, and where its schema stands."""
    for pointer, node in _walk("", DOCUMENT):
        for name in node.get("examples", {}) if "schema" in node else ():
            yield f"{pointer}/examples/{name}", at(resolve(f"{pointer}/examples/{name}"))["value"], f"{pointer}/schema"
        if "example" in node:
            yield f"{pointer}/example", node["example"], f"{pointer}/schema"
        if isinstance(node.get("examples"), list):
            for place, value in enumerate(node["examples"]):
                yield f"{pointer}/examples/{place}", value, pointer


def at(pointer: str) -> Any:
    """Return what stands at the pointer."""
    node: Any = DOCUMENT
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def resolve(pointer: str) -> str:
    """Return the pointer, or the one that it refers to."""
    reference = at(pointer).get("$ref")
    return pointer if reference is None else str(reference).removeprefix("#")


def _check_headers(answer: Response, pointer: str) -> None:
    documented = at(pointer).get("headers", {})
    for name in documented:
        header = resolve(f"{pointer}/headers/{name}")
        values = answer.headers.getlist(name)
        assert len(values) == 1 or (not values and not at(header).get("required")), f"{pointer}: {name}: {values}"
        for value in values:
            schema = resolve(f"{header}/schema")
            check_value(int(value) if at(schema)["type"] == "integer" else value, schema)
    known = {name.lower() for name in documented}
    unknown = [name for name in answer.headers.keys() if not name.lower().startswith(_UNDOCUMENTED)]  # noqa: SIM118 -- iterating over Headers gives pairs
    assert {name.lower() for name in unknown} <= known, f"{pointer} has no {unknown}"


def _body(answer: Response) -> object:
    match answer.mimetype:
        case "application/json" | "application/problem+json":
            return answer.get_json(force=True)
        case "application/yaml":
            return yaml.safe_load(answer.get_data())
        case _:
            return answer.get_data(as_text=True)


def _walk(pointer: str, node: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield pointer, node
        for name, child in node.items():
            if name not in {"example", "examples"}:
                yield from _walk(f"{pointer}/{_escape(str(name))}", child)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
