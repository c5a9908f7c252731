"""What people know a browser by."""

_PROGRAMS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl", "python", "Go-http")
_SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Mac OS", "Linux")
_KNOWN_AS = {"Edg": "Edge", "OPR": "Opera", "python": "Python", "Go-http": "Go"}


def program(agent: str) -> str:
    """`Firefox on Windows`, of what a browser says it is."""
    name = next((one for one in _PROGRAMS if one in agent), None)
    system = next((one for one in _SYSTEMS if one in agent), None)
    shown = _KNOWN_AS.get(name or "", name) or agent[:40] or "an unknown program"
    return f"{shown} on {system}" if name and system else shown


def roughly(host: str) -> str:
    """From where, as far as it may stand in a mail: `203.0.113.x`."""
    if host.count(".") == 3:
        return f"the address {host.rpartition('.')[0]}.x"
    return "this machine" if host == "local" else f"the network {host}"
