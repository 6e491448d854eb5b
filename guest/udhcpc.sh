#!/bin/busybox sh
# Applies what the DHCP server gave.
case $1 in
    bound | renew)
        ip addr flush dev "$interface"
        ip addr add "$ip/$mask" dev "$interface"
        [ -n "$router" ] && ip route add default via "${router%% *}"
        : >/etc/resolv.conf
        [ -n "$hostname" ] && hostname "$hostname"
        [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
        # DESTINATION GATEWAY pairs.
        # shellcheck disable=SC2086 # they are words
        set -- $staticroutes
        while [ $# -ge 2 ]; do
            ip route add "$1" via "$2"
            shift 2
        done
        for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
        ;;
esac
