#!/bin/sh
# Start Redis after a look at its append-only file.
#
# Power loss tears the file's end. Redis itself would cut a torn transaction in its middle and later run that half
# together with the next one; redis-check-aof cuts before it.
set -eu
if [ -e /data/appendonlydir/appendonly.aof.manifest ]; then
    cd /data/appendonlydir
    if ! redis-check-aof appendonly.aof.manifest; then
        rm -rf /data/appendonlydir.torn
        cp -r . /data/appendonlydir.torn
        echo y | redis-check-aof --fix appendonly.aof.manifest
    fi
fi
cd /data
# The configuration comes by standard input: it is opened here, as root, so its mode in the checkout does not matter.
exec docker-entrypoint.sh redis-server - </etc/phoenix95/redis.conf
