"""What a client process is told to do: a JSON file that its parent writes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from campus_node.ledger.client import TlsFiles
from hil_rig.crowd.outing import Person


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a machine's certificate lies; paths of PEM files."""

    role: str
    name: str
    trusted: str
    chain: str
    key: str

    @property
    def originator(self) -> str:
        return f"{self.role}/{self.name}"

    def load(self) -> TlsFiles:
        """Read the files."""
        return TlsFiles(
            Path(self.trusted).read_bytes(), Path(self.chain).read_bytes(), Path(self.key).read_bytes()
        )


@dataclass(frozen=True, slots=True)
class Order:
    """One client process: whom it plays, where they pay, what it keeps.

    The first people stand at the terminals, one each; the others are behind the gateway.

    Args:
        target: host:port of the node.
        server_name: the name in its certificate.
        receipts: the file that the client appends to.
        payments_each: how many transfers a person asks for, at least; None = until told to stop.
        patience_s: how long one question is repeated.
    """

    target: str
    server_name: str
    terminals: tuple[Certificate, ...]
    gateway: Certificate
    people: tuple[Person, ...]
    receipts: str
    seed: int
    payments_each: int | None = None
    patience_s: float = 60.0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read_order(path: Path) -> Order:
    """Return the order that a parent has written."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["terminals"] = tuple(Certificate(**each) for each in fields["terminals"])
    fields["gateway"] = Certificate(**fields["gateway"])
    fields["people"] = tuple(
        Person(each["number"], each["account"], tuple(each["merchants"])) for each in fields["people"]
    )
    return Order(**fields)
