#!/usr/bin/env bash
# The first process of a virtual machine. What is to be tested follows; its last line ends the
# machine.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs tmpfs /tmp
ip link set lo up
echo 1 >/proc/sys/net/core/bpf_jit_enable
ulimit -l 64
# part NAME COMMAND…: what a failed one left below /tmp/logs is shown.
part() {
    echo "guest: begin $1 $SECONDS"
    shift
    "$@"
    local code=$?
    if [ $code != 0 ]; then
        for file in /tmp/logs/*.err /tmp/logs/*/*.err; do
            [ -s "$file" ] && echo "$file:" && echo "$(<"$file")"
        done
    fi
    echo "guest: exit $code $SECONDS"
}
echo "guest: kernel $(</proc/sys/kernel/osrelease)"
