"""`GET /openapi.json`: OpenAPI 3.1, written from the routes themselves and from the structs that they take and give.

Litestar's own generator would need every body and query in a handler's signature, where its errors are not ours.
"""

from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import HttpMethod, Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from phoenix95.gateway.api.auth import HEADER
from phoenix95.gateway.api.problems import MEDIA_TYPE

PATH: Final = "/openapi.json"
JSON: Final = "application/json"
ABOUT: Final = (
    "Prices, decisions and money of a running Phoenix 95, and commands to it. Money and quantities are exact decimal "
    "strings; `*_ms` is exchange time in ms unless the name says wall. What only reads is free on the machine itself; "
    f"everything else needs a key in `{HEADER}`, whose scope (read, trade, admin) each operation names."
)
_METHODS: Final = (HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE)
_GIVEN: Final = frozenset({"parts", "request"})
_REF: Final = "#/components/schemas/{name}"


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every refusal (RFC 9457). `detail` is a sentence; Members like `field` and `subscribed` may be there."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


@get(PATH, opt={"free": True, "scope": "read", "answers": {200: dict[str, Any]}})
async def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """This description."""
    return Response(document(request.app, request.app.state.version))


@cache
def document(app: Litestar, version: str) -> dict[str, Any]:
    """All routes of an application."""
    found = list(_operations(app))
    wanted = {kind: None for *_, handler in found for kind in _kinds(handler)}
    schemas, components = msgspec.json.schema_components((*wanted, ProblemBody), ref_template=_REF)
    schema_of = dict(zip(wanted, schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler in found:
        paths.setdefault(path, {})[method.lower()] = _operation(path, handler, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Phoenix 95", "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _with_numbers(components),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": HEADER}},
        },
    }


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    if method in _METHODS:
                        yield route.path_format, str(method), handler


def _kinds(handler: HTTPRouteHandler) -> Iterator[Any]:
    """Everything of a route that has a schema."""
    yield from handler.opt.get("answers", {}).values()
    if "body" in handler.opt:
        yield handler.opt["body"]


def _operation(path: str, handler: HTTPRouteHandler, schema_of: dict[Any, Any]) -> dict[str, Any]:
    opt, words = handler.opt, (handler.description or handler.fn.__doc__ or "").strip()
    scope = opt.get("scope")
    said: dict[str, Any] = {
        "operationId": handler.fn.__name__,
        "summary": handler.summary or words.partition(". ")[0].partition("\n")[0].rstrip("."),
        "description": f"{words}\n\nScope: {scope or 'none, it is open to all'}.",
        "parameters": [*_of_path(path), *_of_query(path, handler)],
        "responses": _responses(handler, schema_of),
        "x-scope": scope,
        # An empty requirement stands for: works without as well.
        "security": [] if scope is None else [{"key": []}, *([{}] if opt.get("free") else [])],
    }
    if "body" in opt:
        said["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_of[opt["body"]]}}}
    return said


def _of_path(path: str) -> Iterator[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            yield {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}


def _of_query(path: str, handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    kind = handler.opt.get("query")
    if kind is None:
        # What a handler takes beside its path and our own parts, it takes from the query.
        for name in handler.parsed_fn_signature.parameters:
            if f"{{{name}}}" not in path and name not in _GIVEN:
                yield {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
    else:
        (_,), components = msgspec.json.schema_components((kind,), ref_template=_REF)
        about = components[kind.__name__]
        words = about["description"]
        for name, schema in about["properties"].items():
            yield {"name": name, "in": "query", "required": False, "description": words, "schema": schema}


def _responses(handler: HTTPRouteHandler, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answers = handler.opt.get("answers")
    if answers:
        found = {
            str(status): {
                "description": HTTPStatus(status).phrase,
                "content": {handler.opt.get("media_type", JSON): {"schema": schema_of[kind]}},
            }
            for status, kind in answers.items()
        }
    else:
        media = str(handler.media_type or JSON).partition(";")[0]
        found = {"200": {"description": "OK", "content": {media: {"schema": {"type": "string"}}}}}
    refused = {"description": "Why not", "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemBody")}}}}
    return {**found, "default": refused}


def _with_numbers(schema: Any) -> Any:
    """Decimals are read from JSON numbers too, which the schema of msgspec leaves out."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {**schema, "type": ["string", "number"]}
        return {name: _with_numbers(value) for name, value in schema.items()}
    return [_with_numbers(value) for value in schema] if isinstance(schema, list) else schema
