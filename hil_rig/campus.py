"""One real campus on this machine: its directory, its node process, its office, orders for its clients.

Chart: holders 2100…, merchants 2300…, one bank 1100…; see campus_node/ledger/chart.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from campus_node.campus_directory import CampusDirectory, NewCampus
from campus_node.ledger.chart import AccountClass, Kind, account_number
from campus_node.ledger.client import LedgerClient, Opening, RetryPolicy, Transfer
from federation.clock import Clock, SystemClock
from federation.errors import Refused
from federation.identity import Identity, Role
from federation.ids import TransferIds
from federation.transfer import Refusal, Verb
from hil_rig.crowd.crowd import answered_event, sent_event
from hil_rig.crowd.order import Certificate, Order
from hil_rig.crowd.outing import Person
from hil_rig.crowd.receipts import Receipts
from hil_rig.processes import CAMPUS, NodeProcess

BANK: Final = account_number(AccountClass.BANK, 1)
MERCHANTS: Final = tuple(account_number(AccountClass.MERCHANT_PAYABLE, local) for local in range(1, 9))
OFFICE_BATCH: Final = 500
OFFICE_NAME: Final = "node/office"


class RigCampus:
    """A campus with `people` holders; the first `terminals` of them stand at a terminal with a certificate.

    Args:
        directory: new; the campus lies in `node/`, what clients know in `clients/`.
        root_directory: of the scheme's offline root, shared by all campuses.
        database: URL of the ledger; None = SQLite in the campus's directory.
        environment: settings of the node beside those in its file.
        certified_unix_ms: from when its certificates are good; None = now.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        number: int,
        root_directory: Path,
        *,
        people: int,
        terminals: int,
        database: str | None = None,
        environment: Mapping[str, str] | None = None,
        program: tuple[str, ...] = CAMPUS,
        clock: Clock | None = None,
        certified_unix_ms: int | None = None,
    ) -> None:
        self.name = name
        self.directory = directory / "node"
        self.clients_directory = directory / "clients"
        self._clock = clock or SystemClock()
        self._certified_unix_ms = certified_unix_ms or self._clock.unix_ms()
        self._ids = TransferIds(self._clock)
        self._database = database
        self.clients_directory.mkdir(parents=True, exist_ok=True)
        campus = CampusDirectory(self.directory)
        new = NewCampus(name, number, root_directory, database=database or "")
        settings = campus.create(new, self._certified_unix_ms)
        self._domain = settings.domain
        self._pki = campus.pki(settings)
        self._office = self._issue(Role.NODE, "office")
        self._gateway = self._issue(Role.GATEWAY, "canteen")
        self.terminals = tuple(
            self._issue(Role.TERMINAL, f"{index:04d}") for index in range(1, terminals + 1)
        )
        self.people = tuple(
            Person(index, account_number(AccountClass.ONLINE, number * 10**8 + index), MERCHANTS)
            for index in range(1, people + 1)
        )
        self.node = NodeProcess(
            self.directory,
            self._domain,
            self._office.load(),
            environment=environment,
            program=program,
            clock=self._clock,
        )
        self.receipts: list[Path] = []

    @property
    def ledger(self) -> str:
        """What the checker opens."""
        return self._database or str(self.directory / "data" / "ledger.sqlite")

    @property
    def database_url(self) -> str:
        """What the node opens."""
        return self._database or f"sqlite:///{self.directory / 'data' / 'ledger.sqlite'}"

    @property
    def domain(self) -> str:
        """The DNS domain of its machines."""
        return self._domain

    def certify_terminal(self, name: str) -> Certificate:
        """Issue one more terminal's certificate."""
        return self._issue(Role.TERMINAL, name)

    def open_accounts(self) -> None:
        """Open the accounts of bank, merchants and people; doing it again changes nothing.

        Raises:
            Refused: an account is open with another holder.
            Unavailable: the node did not answer.
        """
        openings = [Opening(BANK, "bank"), *(Opening(account, "merchant") for account in MERCHANTS)]
        openings += [Opening(person.account, f"person {person.number}") for person in self.people]
        asyncio.run(self._open(openings))

    def load(self, amount_fen: int, name: str) -> None:
        """Bring the same sum from the bank to everybody; what the office knows is kept under this name.

        Raises:
            Refused: the ledger refused one.
            Unavailable: the node did not answer.
        """
        loads = [(person.account, amount_fen) for person in self.people]
        asyncio.run(self._load(loads, self._receipts_path(name)))

    def issue_purses(self, purses: Mapping[int, int], name: str) -> None:
        """Open the accounts of cards' purses and bring to each, from the bank, what is on the card, in fen.

        Raises:
            Refused: an account is open with another holder, or a load was refused.
            Unavailable: the node did not answer.
        """
        asyncio.run(self._open([Opening(account, f"purse {account}") for account in purses]))
        asyncio.run(self._load(list(purses.items()), self._receipts_path(name)))

    def order(self, name: str, seed: int, payments_each: int | None, patience_s: float = 60.0) -> Order:
        """Return the order for a client process; from now on its file counts for the checker."""
        return Order(
            target=self.node.address.target,
            server_name=self._domain,
            terminals=self.terminals,
            gateway=self._gateway,
            people=self.people,
            receipts=str(self._receipts_path(name)),
            seed=seed,
            payments_each=payments_each,
            patience_s=patience_s,
        )

    def _receipts_path(self, name: str) -> Path:
        path = self.clients_directory / f"{name}.jsonl"
        path.touch()
        self.receipts.append(path)
        return path

    def _issue(self, role: Role, name: str) -> Certificate:
        identity = Identity(self.name, role, name)
        self._pki.issue(identity, self._certified_unix_ms)
        chain, key = self._pki.leaf_paths(identity)
        trusted = self.directory / "pki" / "campus.pem"
        return Certificate(str(role), name, str(trusted), str(chain), str(key))

    def _client(self) -> LedgerClient:
        return LedgerClient(self.node.address, self._office.load(), RetryPolicy())

    async def _open(self, openings: Sequence[Opening]) -> None:
        async with self._client() as client:
            for start in range(0, len(openings), OFFICE_BATCH):
                part = openings[start : start + OFFICE_BATCH]
                for opening, refusal in zip(part, await client.open_accounts(part), strict=True):
                    if refusal is not Refusal.NONE:
                        raise Refused(f"account {opening.account} was not opened: {refusal.name}")

    async def _load(self, amounts_fen: Sequence[tuple[int, int]], path: Path) -> None:
        loads = [
            Transfer(
                transfer_id=self._ids.next(),
                verb=Verb.POST,
                kind=Kind.LOAD,
                debit=BANK,
                credit=account,
                amount_fen=amount_fen,
                made_at_unix_ms=self._clock.unix_ms(),
            )
            for account, amount_fen in amounts_fen
        ]
        receipts = Receipts(path)
        async with self._client() as client, client.stream() as stream:
            for start in range(0, len(loads), OFFICE_BATCH):
                part = loads[start : start + OFFICE_BATCH]
                for load in part:
                    receipts.note(sent_event(load.transfer_id.hex().upper(), OFFICE_NAME, load))
                await receipts.flush()
                for load, answer in zip(part, await stream.post(part), strict=True):
                    event = answered_event(load.transfer_id.hex().upper(), OFFICE_NAME, answer)
                    receipts.note(event)
                    if not answer.done:
                        raise Refused(f"load of {load.credit} was refused: {answer.refusal_name}")
            await receipts.flush()
        receipts.close()
