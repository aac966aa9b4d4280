"""Which internet addresses belong to the public internet."""

from __future__ import annotations

import ipaddress

__all__ = ["is_public"]

# What is in use of IPv6's public part, less what leads elsewhere: Teredo and other assignments, 6to4, documentation.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Protocol assignments, relays of 6to4, and where Azure answers its virtual machines.
_NOT_PUBLIC_V4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))


def is_public(address: str) -> bool:
    """Whether an IP address can be anybody's on the internet: none of this machine, its networks, or a cloud's services.

    Addresses that carry an IPv4 address in them (mapped, 6to4, NAT64, Teredo) are none, whatever that one is.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_V4)
    return ip.scope_id is None and ip in _PUBLIC_V6 and not any(ip in network for network in _NOT_PUBLIC_V6)
