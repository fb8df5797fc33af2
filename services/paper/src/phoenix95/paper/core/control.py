"""The control messages of a websocket connection: SUBSCRIBE and its kin, and their answers."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
STREAMS_MAX: Final = 1024
ID_MAX: Final = 36

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Subscriptions:
    """What one connection has asked for, in the order it did."""

    def __init__(self, streams: Iterable[str], *, combined: bool) -> None:
        self.streams: dict[str, None] = dict.fromkeys(streams)
        self.combined = combined

    def handle(self, text: str | bytes) -> bytes:
        """Obey one message and return the answer to it. An unknown stream's name is taken without a word."""
        try:
            message = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _error(3, f"Invalid JSON: {error}", None)
        if not isinstance(message, dict):
            return _error(2, "Invalid request: expected an object", None)
        number = message.get("id")
        if not _is_id(number):
            return _error(2, "Invalid request: request ID must be an unsigned integer", None)
        method = message.get("method")
        if method is None:
            return _error(2, "Invalid request: missing field `method`", number)
        if method not in METHODS:
            return _error(2, f"Invalid request: unknown variant `{method}`", number)
        params = message.get("params", [])
        if not isinstance(params, list):
            return _error(2, "Invalid request: params must be a list", number)
        return self._obey(method, params, number)

    def _obey(self, method: str, params: list[Any], number: Any) -> bytes:
        if method == "LIST_SUBSCRIPTIONS":
            return _result(list(self.streams), number)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params, number)
        if not params or not all(isinstance(name, str) for name in params):
            return _error(2, "Invalid request: params must be names of streams", number)
        if method == "UNSUBSCRIBE":
            for name in params:
                self.streams.pop(name, None)
            return _result(None, number)
        if len(self.streams.keys() | set(params)) > STREAMS_MAX:
            return _error(2, "Invalid request: too many parameters", number)
        self.streams.update(dict.fromkeys(params))
        return _result(None, number)

    def _property(self, method: str, params: list[Any], number: Any) -> bytes:
        if not params or params[0] != "combined":
            return _error(0, "Unknown property", number)
        if method == "GET_PROPERTY":
            return _result(self.combined, number)
        if len(params) != 2 or not isinstance(params[1], bool):
            return _error(1, "Invalid value type: expected Boolean", number)
        self.combined = params[1]
        return _result(None, number)


def _is_id(number: object) -> bool:
    if number is None:
        return True
    if isinstance(number, bool):
        return False
    return (isinstance(number, int) and number >= 0) or (isinstance(number, str) and len(number) <= ID_MAX)


def _result(result: object, number: object) -> bytes:
    return _encode({"result": result, "id": number})


def _error(code: int, message: str, number: object) -> bytes:
    body: dict[str, object] = {"error": {"code": code, "msg": message}}
    return _encode({**body, "id": number} if number is not None else body)
