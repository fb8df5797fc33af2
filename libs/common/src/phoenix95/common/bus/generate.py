"""Write what is generated from the table of streams: `python -m phoenix95.common.bus.generate [FOLDER]`."""

import sys
from pathlib import Path

from phoenix95.common.bus.docs import render


def main(folder: Path) -> None:
    """Write `events.md` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "events.md").write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs"))
