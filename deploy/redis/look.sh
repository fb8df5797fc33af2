#!/bin/sh
# redis-cli as the user `operator`, who reads everything and changes nothing: look.sh COMMAND...
REDISCLI_AUTH=$(cat /run/secrets/redis_operator)
export REDISCLI_AUTH
exec redis-cli --user operator --no-auth-warning "$@"
