"""Who speaks: the identity that a certificate carries as its URI SAN."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from federation.errors import NotPermitted

SCHEME: Final = "campuscard"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, 2.1


class Role(StrEnum):
    """What kind of machine an identity belongs to."""

    NODE = "node"
    GATEWAY = "gateway"
    TERMINAL = "terminal"


def is_name(text: str) -> bool:
    """Tell whether text can name a campus or a machine: a DNS label, 1 to 63 of a-z, 0-9 and hyphens."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """One machine of one campus.

    Args:
        campus: the campus's name, a DNS label.
        role: node, gateway or terminal.
        name: the machine's name on its campus, a DNS label.
    """

    campus: str
    role: Role
    name: str

    @property
    def uri(self) -> str:
        """The URI SAN, `campuscard://<campus>/<role>/<name>`."""
        return f"{SCHEME}://{self.campus}/{self.role}/{self.name}"

    @property
    def originator_name(self) -> str:
        """The namespace of the transfer ids that this machine chooses, `<role>/<name>`."""
        return f"{self.role}/{self.name}"


def parse_identity(uri: str) -> Identity:
    """Return the identity that a URI SAN names.

    Raises:
        NotPermitted: it is not of the form campuscard://<campus>/<role>/<name>.
    """
    prefix, _, rest = uri.partition("://")
    parts = rest.split("/")
    if (
        prefix != SCHEME
        or len(parts) != 3
        or parts[1] not in set(Role)
        or not (is_name(parts[0]) and is_name(parts[2]))
    ):
        raise NotPermitted(f"identity {uri!r} is not campuscard://<campus>/<node|gateway|terminal>/<name>")
    return Identity(parts[0], Role(parts[1]), parts[2])
