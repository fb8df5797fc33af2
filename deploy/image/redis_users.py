#!/opt/phoenix95/bin/python
"""Write Redis' ACL file from the table of streams: redis-users FOLDER FILE.

FOLDER holds a password in `redis_<user>` for each user. FILE gets only their hashes, so Redis may read it under
any user id. It is written at each start of the deployment: the rights are those of the code that runs.
"""

import os
import sys
from pathlib import Path

from phoenix95.common.bus.acl import USERS, acl_file
from phoenix95.common.errors import ConfigError


def main(folder: Path, file: Path) -> None:
    try:
        passwords = {user: (folder / f"redis_{user}").read_text(encoding="utf-8").strip() for user in USERS}
        draft = file.with_name(file.name + ".new")
        draft.write_text(acl_file(passwords), encoding="utf-8")
        draft.chmod(0o644)
        draft.replace(file)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {os.strerror(error.errno or 0)}") from error
    sys.stdout.write(f"{file}: {', '.join(passwords)}\n")


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:3]))
    except ConfigError as error:
        sys.exit(f"redis-users: {error}")
