"""The page of `why`, printed from stories that the gateway told; compared with stored pages."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from phoenix95.cli.why import show

STORIES = Path(__file__).parents[2] / "services/gateway/tests/data"
DATA = Path(__file__).with_name("data")


@pytest.mark.parametrize("name", ["traded", "refused", "held", "poisoned"])
@pytest.mark.parametrize("columns", [100, 60])
def test_the_page_is_as_it_was_and_fits(name: str, columns: int) -> None:
    out = io.StringIO()
    show(Console(file=out, width=columns, highlight=False), json.loads((STORIES / f"why_{name}.json").read_text()))
    page = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
    assert max(map(len, page.splitlines())) <= columns
    if columns == 100:
        path = DATA / f"why_{name}.txt"
        if os.environ.get("P95_TEST_GOLDEN") == "write":
            path.write_text(page)
        assert page == path.read_text()
