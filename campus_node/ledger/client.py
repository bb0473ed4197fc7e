"""The posting API as its callers see it: typed, repeated with the same ids until there is an answer.

`LedgerClient` is asyncio; `BlockingLedgerClient` is the same for the command line and scripts. A refusal by
the ledger is an answer, not an exception; exceptions are of the families in `federation.errors`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import grpc
from cryptography import x509

from campus_node.ledger.client_messages import (
    AccountBalance,
    Opening,
    PostAnswer,
    StatementPage,
    Transfer,
    answer_from_wire,
    balance_from_wire,
    page_from_wire,
    transfer_to_wire,
)
from campus_node.ledger.client_stream import PostingStream
from campuscard.v1 import ledger_pb2 as pb
from campuscard.v1.ledger_pb2_grpc import LedgerStub
from federation.clock import Clock, SystemClock
from federation.errors import NotIdentified, Overloaded, Unavailable
from federation.grpc_status import error_of
from federation.transfer import Refusal

if TYPE_CHECKING:
    from campuscard.v1.ledger_pb2_grpc import (
        LedgerAsyncStub,
    )  # a type only: there is no such class at run time

KEEPALIVE_MS: Final = 30_000
CONNECT_MAX_MS: Final = 5_000  # gRPC gives a connection, handshake included, this "backoff" to come about
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
APPROVAL_KEY: Final = "approval-id"  # metadata of Post

T = TypeVar("T")

__all__ = [
    "AccountBalance",
    "BlockingLedgerClient",
    "LedgerClient",
    "Opening",
    "PostAnswer",
    "PostingStream",
    "RetryPolicy",
    "ServerAddress",
    "TlsFiles",
    "Transfer",
]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a caller proves itself with, as PEM bytes.

    Args:
        trusted: the certificates that may have issued the server's: the campus's own and the scheme's root.
        chain: the caller's certificate, then its issuer's.
        key: its private key.
    """

    trusted: bytes
    chain: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a node is.

    Args:
        target: host:port.
        name: the DNS name that its certificate must carry.
    """

    target: str
    name: str


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a question without an answer is repeated: the wait doubles, with full jitter.

    Args:
        attempts_max: the first one included.
        deadline_s: of one attempt.
        wait_first_ms: the longest wait before the second attempt.
        wait_max_ms: the longest wait before any attempt.
    """

    attempts_max: int = 8
    deadline_s: float = 15.0
    wait_first_ms: int = 50
    wait_max_ms: int = 3_000

    def wait_s(self, attempt: int, error: Unavailable, randomness: random.Random) -> float:
        """Return how long to wait after this attempt, counted from 1."""
        longest_ms = min(self.wait_max_ms, self.wait_first_ms * 2 ** (attempt - 1))
        hint_ms = error.retry_after_ms if isinstance(error, Overloaded) else 0
        return (hint_ms + randomness.uniform(0, longest_ms)) / 1000


class LedgerClient:
    """One caller's channel to one node. Use as an async context, in one event loop.

    Args:
        address: the node.
        tls: the caller's certificate.
        retry: how to repeat.
        randomness: where jitter comes from.
        clock: tells whether our own certificate is the reason why nobody answers.
    """

    def __init__(
        self,
        address: ServerAddress,
        tls: TlsFiles,
        retry: RetryPolicy | None = None,
        randomness: random.Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._tls = tls
        self._clock = clock or SystemClock()
        self._retry = retry or RetryPolicy()
        self._randomness = randomness or random.Random()  # noqa: S311 - jitter, not a secret
        credentials = grpc.ssl_channel_credentials(tls.trusted, tls.key, tls.chain)
        options: list[tuple[str, str | int]] = [
            ("grpc.ssl_target_name_override", address.name),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", CONNECT_MAX_MS),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),  # two identities in one process never share a connection
        ]
        self._channel = grpc.aio.secure_channel(address.target, credentials, options)
        self._stub: LedgerAsyncStub = LedgerStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection up; what is under way has no answer."""
        await self._channel.close()

    async def post(self, transfer: Transfer, approval: str | None = None) -> PostAnswer:
        """Post one transfer and return the ledger's answer.

        Args:
            transfer: with an id that is kept, for a later repeat.
            approval: id of the approval by two people, for kinds that need one.

        Raises:
            Unavailable: no attempt was answered. Repeat later with the same transfer.
            Refused: the node did not pass the question to its ledger: not permitted, not readable.
        """
        request = pb.PostRequest(transfer=transfer_to_wire(transfer))
        metadata = ((APPROVAL_KEY, approval),) if approval else None
        response = await self._repeat(
            lambda: self._stub.Post(request, timeout=self._retry.deadline_s, metadata=metadata)
        )
        return answer_from_wire(response.answer)

    def stream(self) -> PostingStream:
        """Return a stream for many transfers a message; use it as an async context."""
        return PostingStream(self._stub, self._repeat, self._retry.deadline_s)

    async def open_accounts(self, openings: Sequence[Opening]) -> list[Refusal]:
        """Open accounts, at most 1024; return one refusal each, NONE = it is open."""
        request = pb.OpenAccountsRequest(
            openings=[
                pb.AccountOpening(account=each.account, holder=each.holder, floor_fen=each.floor_fen)
                for each in openings
            ]
        )
        response = await self._repeat(
            lambda: self._stub.OpenAccounts(request, timeout=self._retry.deadline_s)
        )
        return [Refusal(each.refusal) for each in response.opened]

    async def balance(self, account: int) -> AccountBalance:
        """Return the committed balance.

        Raises:
            NotFound: the account was never opened.
        """
        request = pb.GetBalanceRequest(account=account)
        response = await self._repeat(lambda: self._stub.GetBalance(request, timeout=self._retry.deadline_s))
        return balance_from_wire(response)

    async def statement(self, account: int, before_seq: int = 0, limit: int = 100) -> StatementPage:
        """Return one page of what moved, newest first; before_seq 0 = begin with the newest.

        Raises:
            NotFound: the account was never opened.
        """
        request = pb.GetStatementRequest(account=account, before_seq=before_seq, limit=limit)
        response = await self._repeat(
            lambda: self._stub.GetStatement(request, timeout=self._retry.deadline_s)
        )
        return page_from_wire(response)

    async def _repeat(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer, at most attempts_max times."""
        for attempt in range(1, self._retry.attempts_max + 1):
            try:
                return await ask()
            except grpc.aio.AioRpcError as cause:
                error = error_of(cause.code(), cause.details() or "", tuple(cause.trailing_metadata()))
                if cause.code() is grpc.StatusCode.UNAVAILABLE:
                    self._require_certificate_in_date(cause)
                if not isinstance(error, Unavailable) or attempt == self._retry.attempts_max:
                    raise error from cause
            except Unavailable as unavailable:  # inside a stream
                error = unavailable
                self._require_certificate_in_date(unavailable)
                if attempt == self._retry.attempts_max:
                    raise
            await asyncio.sleep(self._retry.wait_s(attempt, error, self._randomness))
        raise AssertionError("unreachable: attempts_max is at least 1")

    def _require_certificate_in_date(self, cause: Exception) -> None:
        """Say so if our certificate is over: a server just hangs up on it, and repeating does not help."""
        leaf = x509.load_pem_x509_certificate(self._tls.chain)
        if self._clock.unix_ms() > leaf.not_valid_after_utc.timestamp() * 1000:
            raise NotIdentified(
                f"our own certificate, {leaf.subject.rfc4514_string()}, expired on "
                f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it with `campus pki renew`"
            ) from cause


class BlockingLedgerClient:
    """`LedgerClient` for those who wait: one question at a time. Use as a context.

    Args:
        make: makes the client inside its own event loop.
    """

    def __init__(self, make: Callable[[], LedgerClient]) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(_made(make))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection up."""
        self._runner.run(self._client.close())
        self._runner.close()

    def post(self, transfer: Transfer, approval: str | None = None) -> PostAnswer:
        """See `LedgerClient.post`."""
        return self._runner.run(self._client.post(transfer, approval))

    def post_batch(self, transfers: Sequence[Transfer]) -> list[PostAnswer]:
        """Post 1 to 1024 transfers in one message; see `PostingStream.post`."""
        return self._runner.run(self._post_batch(transfers))

    async def _post_batch(self, transfers: Sequence[Transfer]) -> list[PostAnswer]:
        async with self._client.stream() as stream:
            return await stream.post(transfers)

    def open_accounts(self, openings: Sequence[Opening]) -> list[Refusal]:
        """See `LedgerClient.open_accounts`."""
        return self._runner.run(self._client.open_accounts(openings))

    def balance(self, account: int) -> AccountBalance:
        """See `LedgerClient.balance`."""
        return self._runner.run(self._client.balance(account))

    def statement(self, account: int, before_seq: int = 0, limit: int = 100) -> StatementPage:
        """See `LedgerClient.statement`."""
        return self._runner.run(self._client.statement(account, before_seq, limit))


async def _made(make: Callable[[], LedgerClient]) -> LedgerClient:
    return make()
