"""The address of an endpoint: whether it's valid, and whether it's this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import Errors, SettingsError


def check_endpoint(url: str, *, section: str) -> None:
    """url (str): The address of an OpenAI-compatible server.
    section (str): The section of the config, for messages.
    RAISES (SettingsError): It's no address of a server, or holds a key or a password.
        The message doesn't quote it then."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        parts, valid = urlsplit(""), False
    if parts.username or parts.password or parts.query or parts.fragment or not valid:
        raise SettingsError(Errors.E288.format(section=section))


def host_of(url: str) -> str:
    """url (str): A checked address.
    RETURNS (str): The name of the machine."""
    return urlsplit(url).hostname or ""


def is_local(url: str) -> bool:
    """url (str): A checked address.
    RETURNS (bool): Whether texts sent there stay on this machine. A name other than
        localhost isn't looked up, and counts as another machine."""
    host = host_of(url)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False
