"""The description of the API is of version 3.1, is whole, and leads nowhere else."""

import json
import re

import pytest

ENDPOINTS = {
    ("GET", "/"): None,
    ("GET", "/health"): None,
    ("POST", "/api/analyze"): "read",
    ("POST", "/api/execute"): "trade",
    ("GET", "/api/execute/{request_id}"): "read",
    ("POST", "/api/manual_trade"): "trade",
    ("GET", "/api/price/{symbol}"): "read",
    ("GET", "/api/prices/{symbol}/history"): "read",
    ("GET", "/api/metrics"): "read",
    ("GET", "/api/portfolio"): "read",
    ("GET", "/api/performance"): "read",
    ("POST", "/api/notify"): "trade",
    ("POST", "/api/subscribe/{symbol}"): "trade",
    ("DELETE", "/api/subscribe/{symbol}"): "trade",
    ("POST", "/api/positions/{symbol}/close"): "trade",
    ("GET", "/api/commands/{command_id}"): "read",
    ("GET", "/api/info"): "read",
    ("GET", "/api/positions"): "read",
    ("GET", "/api/orders"): "read",
    ("GET", "/api/decisions"): "read",
    ("GET", "/api/alerts"): "read",
    ("GET", "/api/host"): "read",
    ("GET", "/api/feed"): "read",
    ("GET", "/api/events"): "read",
    ("GET", "/api/keys"): "admin",
    ("GET", "/api/control"): "read",
    ("POST", "/api/control/halt"): "trade",
    ("POST", "/api/control/flatten"): "trade",
    ("POST", "/api/control/resume"): "admin",
    ("GET", "/openapi.json"): "read",
}


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        part = list(part.values())
    for inner in part if isinstance(part, list) else []:
        yield from references(inner)


@pytest.fixture
async def document(gateway):
    got = await gateway.http.get("/openapi.json")
    assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
    return got.json()


async def test_every_endpoint_is_there_with_its_scope(document):
    found = {(method, path): operation["x-scope"] for method, path, operation in operations(document)}
    assert document["openapi"] == "3.1.0"
    assert found.items() >= ENDPOINTS.items()


async def test_every_operation_is_described_and_every_reference_leads_somewhere(document):
    names = [operation["operationId"] for *_, operation in operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(document):
        assert operation["summary"], path
        assert "default" in operation["responses"]
        assert len(operation["responses"]) >= 2
        described = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path))
        assert ("requestBody" in operation) == ((method, path) in BODIES)
    for reference in references(document):
        schema = document["components"]["schemas"][reference.removeprefix("#/components/schemas/")]
        assert schema["description"], reference
    assert "http" not in json.dumps(document).replace("https://", "http://").replace("http://127.0.0.1", "")


BODIES = {
    ("POST", "/api/analyze"),
    ("POST", "/api/execute"),
    ("POST", "/api/manual_trade"),
    ("POST", "/api/notify"),
    *(("POST", f"/api/control/{what}") for what in ("halt", "flatten", "resume")),
}


async def test_a_decimal_may_be_a_number_or_a_text(document):
    amount = document["components"]["schemas"]["TradeBody"]["properties"]["amount"]
    assert {"type": ["string", "number"], "format": "decimal"} in amount["anyOf"]
