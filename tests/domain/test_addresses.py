from __future__ import annotations

import pytest

from app.domain.addresses import is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450:4001::200e"])
def test_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "255.255.255.255", "224.0.0.1"),
        *("192.0.2.1", "198.18.0.1", "203.0.113.5", "240.0.0.1", "192.88.99.1"),
        # Where clouds answer their machines.
        *("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1"),
        # IPv4 in IPv6: mapped, compatible, NAT64, 6to4, Teredo.
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:808:808::1", "2001:0:53aa:64c:0:0:0:1"),
        *("", "localhost", "2130706433", "0x7f.1", "127.1"),
    ],
)
def test_anything_else(address: str) -> None:
    assert not is_public(address)
