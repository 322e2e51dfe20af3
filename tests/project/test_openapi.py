"""Tests of the contract as a document: it agrees with the code, in both directions."""

from typing import Any

import openapi_spec_validator
import pytest
from flask import Flask
from flask.testing import FlaskClient

import authsvc
from authsvc.payloads import signature
from authsvc.web import problems
from authsvc.web.english import ENGLISH
from authsvc.web.problems import Problem
from tests.support import contract, made_up


def test_the_contract_is_valid() -> None:
    """It is OpenAPI 3.1 by the official schema, and of the version of the code."""
    openapi_spec_validator.validate(contract.DOCUMENT)
    assert contract.DOCUMENT["openapi"].startswith("3.1.")
    assert contract.DOCUMENT["info"]["version"] == authsvc.__version__


def test_the_contract_has_exactly_the_routes_of_the_service(app: Flask) -> None:
    """No route is undocumented and none is promised in vain."""
    routes = {
        f"{method} {rule.rule.replace('<rest:', '<').replace('<', '{').replace('>', '}')}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert contract.operations().keys() == routes


def test_a_route_has_the_name_of_its_operation(app: Flask) -> None:
    """Flask's endpoints, which an extension may use, are the operationIds."""
    named = {rule.rule.replace("<rest:", "<"): rule.endpoint for rule in app.url_map.iter_rules()}
    for path, operations in contract.at("/paths").items():
        for method in operations.keys() & {"get", "post"}:
            assert operations[method]["operationId"] == named[path.replace("{", "<").replace("}", ">")]


def test_the_served_contract_is_the_file(client: FlaskClient) -> None:
    """What a client downloads is the document that these tests hold the service to, byte for byte."""
    assert client.get("/openapi.yaml").get_data() == contract.PATH.read_bytes()


@pytest.mark.parametrize("problem", problems.BY_NAME.values(), ids=lambda problem: problem.name)
def test_every_problem_is_in_the_contract_as_in_the_table(problem: Problem) -> None:
    """Each has one example, wherever it is shown, and one schema; both agree with the table."""
    listed = [value for pointer, value, _ in contract.examples() if pointer.endswith(f"/examples/{problem.name}")]
    schemas = [
        schema
        for schema in contract.at("/components/schemas").values()
        if schema.get("externalDocs") == {"url": f"/problems/{problem.name}"}
    ]
    assert all(example == listed[0] for example in listed)
    assert len(schemas) == 1
    example: dict[str, Any] = dict(listed[0])
    expected = problems.to_dict(
        problem,
        title=ENGLISH.problems[problem.name].title,
        detail=example["detail"],
        request_id=example["request_id"],
        now_ms=example.get("server_time_ms", 0),
    )
    if problem is problems.NOT_READY:
        expected["checks"] = example["checks"]
    assert example == expected
    constants = {name: member["const"] for name, member in schemas[0]["properties"].items() if "const" in member}
    assert constants == {name: expected[name] for name in ("type", "status", "retry", "code")}


def test_the_contract_has_no_problem_that_the_table_lacks() -> None:
    """The refusals in the contract and the addresses of help pages are the table's, none besides."""
    names = set(problems.BY_NAME)
    listed = [contract.refusals(f"/components/responses/{name}") for name in contract.at("/components/responses")]
    assert set().union(*listed) == names
    assert set(contract.at("/paths/~1problems~1{name}/get/parameters")[0]["schema"]["enum"]) == names


@pytest.mark.parametrize(
    ("value", "schema"), [pytest.param(value, schema, id=pointer) for pointer, value, schema in contract.examples()]
)
def test_every_example_is_valid(value: object, schema: str) -> None:
    """What the contract shows is what it allows."""
    contract.check_value(value, schema)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        pytest.param(value, schema, id=pointer)
        for pointer, value, schema in contract.examples()
        if isinstance(value, dict)
    ],
)
def test_no_object_takes_another_member(value: dict[str, object], schema: str) -> None:
    """Requests are refused for an unknown field, and answers have exactly the members that are listed."""
    with pytest.raises(AssertionError, match="another"):
        contract.check_value(value | {"another": 1}, schema)


def test_the_example_payload_is_good() -> None:
    """Whoever tries the example against the suite's masterSecret finds it signed right, in the answer and to verify."""
    payloads = [value for _, value, _ in contract.examples() if isinstance(value, dict) and "signature" in value]
    assert len(payloads) == 3  # bootstrap's is one level down
    payloads += [value["init"] for _, value, _ in contract.examples() if isinstance(value, dict) and "init" in value]
    for payload in payloads:
        assert signature.is_valid(
            payload["signature"],
            appkey=payload["appkey"],
            timestamp_ms=int(payload["timestamp"]),
            random_str=payload["random_str"],
            master_secret=made_up.MASTER_SECRET,
        )
