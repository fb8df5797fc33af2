"""`python -m phoenix95.gateway` serves; `migrate` makes our table; `key add|list|revoke` looks after API keys."""

import argparse
import os
import sys

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.serve import EXIT_CONFIG, EXIT_CRASH
from phoenix95.common.serve import run as serve
from phoenix95.common.settings import load, require
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.core.keys import SCOPES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m phoenix95.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="make the schema gateway; may be repeated")
    key = commands.add_parser("key", help="look after the API keys").add_subparsers(dest="do", required=True)
    add = key.add_parser("add", help="make up a key and print it, this once")
    add.add_argument("name", help="whose it is")
    add.add_argument("--scope", choices=SCOPES, default="read", help="what it allows (default: read)")
    key.add_parser("list", help="show all keys, without their secrets")
    revoke = key.add_parser("revoke", help="let a key work no longer")
    revoke.add_argument("key", metavar="NAME_OR_ID")
    arguments = parser.parse_args()
    if arguments.command is None:
        from phoenix95.gateway.service import main as work

        serve("gateway", GatewaySettings, work)
    try:
        _once(arguments)
    except (ConfigError, TransientError) as error:
        sys.stderr.write(f"phoenix95 gateway: {error}\n")
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_CRASH)


def _once(arguments: argparse.Namespace) -> None:
    from phoenix95.gateway.reads import keys

    settings = load(GatewaySettings, "gateway", os.environ)
    require(settings, "postgres_url")
    url = settings.postgres_url
    if arguments.command == "migrate":
        keys.migrate(url)
    elif arguments.do == "add":
        sys.stdout.write(keys.add_key(url, arguments.name, arguments.scope) + "\n")
    elif arguments.do == "revoke":
        row = keys.revoke_key(url, arguments.key)
        sys.stderr.write(f"revoked {row.name} ({row.id})\n")
    else:
        for row in keys.list_keys(url):
            state = "works" if row.revoked is None else f"revoked {row.revoked:%Y-%m-%d %H:%M} UTC"
            sys.stdout.write(f"{row.id}  {row.scope:<5}  {row.created:%Y-%m-%d %H:%M}  {state}  {row.name}\n")


if __name__ == "__main__":
    main()
