"""From where a request comes, as it is counted and shown."""

import ipaddress

from starlette.requests import Request

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LONGEST_AGENT = 200
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_host(request: Request) -> str:
    """The client's address; of IPv6 the /64 that a provider gives to one customer."""
    address = _address(request)
    return "local" if address is None else _shown(address, 64)


def client_network(request: Request) -> str:
    """What one person may have many addresses of: of IPv6 a /48."""
    address = _address(request)
    return "local" if address is None else _shown(address, 48)


def client_agent(request: Request) -> str:
    """What the program says it is, without what no header should hold."""
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    return "".join(letter for letter in agent if letter.isprintable())


def _address(request: Request) -> Address | None:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address  # as proxies report IPv4


def _shown(address: Address, bits: int) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, bits), strict=False))
