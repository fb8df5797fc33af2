import pytest

from phoenix95.executor.venue.codes import Meaning, meaning


@pytest.mark.parametrize(
    ("status", "code", "text", "expected"),
    [
        (400, -2019, "Margin is insufficient.", Meaning.REFUSED),
        (400, -1021, "Timestamp outside of the recvWindow.", Meaning.REFUSED),
        (400, -5028, "Timestamp is outside of the ME recvWindow.", Meaning.REFUSED),
        (400, -2021, "Order would immediately trigger.", Meaning.REFUSED),
        (400, -2022, "ReduceOnly Order is rejected.", Meaning.REFUSED),
        (503, -1008, "Request throttled by system-level protection.", Meaning.REFUSED),
        (503, None, "Service Unavailable.", Meaning.REFUSED),
        (503, -1001, "Internal error; unable to process your request. Please try again.", Meaning.REFUSED),
        (503, None, "Unknown error, please check your request or try again later.", Meaning.UNKNOWN),
        (502, None, "<html>Bad Gateway</html>", Meaning.UNKNOWN),
        (504, None, "", Meaning.UNKNOWN),
        (408, -1007, "Timeout waiting for response from backend server.", Meaning.UNKNOWN),
        (400, -1006, "An unexpected response was received from the message bus.", Meaning.UNKNOWN),
        (400, -1000, "An unknown error occurred.", Meaning.UNKNOWN),
        (400, -4116, "ClientOrderId is duplicated.", Meaning.UNKNOWN),
        (403, None, "<html>WAF</html>", Meaning.UNKNOWN),
        (400, -2013, "Order does not exist.", Meaning.UNKNOWN_ORDER),
        (400, -2011, "Unknown order sent.", Meaning.UNKNOWN_ORDER),
        (429, -1003, "Too many requests.", Meaning.LIMITED),
        (418, None, "", Meaning.LIMITED),
    ],
)
def test_an_answer_means_what_its_code_says(status: int, code: int | None, text: str, expected: Meaning) -> None:
    assert meaning(status, code, text) is expected
