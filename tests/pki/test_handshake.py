"""Real gRPC handshakes over loopback: a server that trusts its campus intermediate alone lets in its own.

gRPC accepts an intermediate as trust anchor (partial chain) and still enforces its name constraints.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography import x509

from campus_node.pki import certificates, files
from campus_node.pki.campus_pki import CampusPki
from campus_node.pki.trust import identify, make_trust
from federation.identity import Identity, Role, parse_identity
from tests.pki.conftest import DAY_MS, terminal

NODE = Identity("north", Role.NODE, "1")
Dial = Callable[..., str]
Refused = Callable[[bytes, bytes], None]


def _authority_pem(pki: CampusPki) -> bytes:
    return files.certificate_pem(pki.authority_certificate())


def _pair(pki: CampusPki, identity: Identity) -> tuple[bytes, bytes]:
    certificate, key = pki.leaf_paths(identity)
    return key.read_bytes(), certificate.read_bytes()


@pytest.fixture
def port(north: CampusPki, now_unix_ms: int) -> Iterator[int]:
    """A server with mTLS that answers who the caller is, by the caller's certificate."""
    north.issue(NODE, now_unix_ms)
    trust = make_trust("north", north.authority_certificate(), north.crl())

    def who(_request: bytes, context: grpc.ServicerContext) -> bytes:
        leaf_pem = b"".join(context.auth_context()["x509_pem_cert"])  # type: ignore[arg-type]  # a list in truth
        return identify(leaf_pem, trust, now_unix_ms).uri.encode()

    server = grpc.server(ThreadPoolExecutor(1))
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Who": grpc.unary_unary_rpc_method_handler(who)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", methods),))
    credentials = grpc.ssl_server_credentials(
        [_pair(north, NODE)], root_certificates=_authority_pem(north), require_client_auth=True
    )
    bound = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield bound
    server.stop(0).wait()


@pytest.fixture
def dial(port: int, north: CampusPki) -> Dial:
    """Call the server; raises grpc.RpcError when the handshake fails."""

    def call(
        key_pem: bytes, chain_pem: bytes, *, trusts: bytes | None = None, name: str = "north.campus.test"
    ) -> str:
        credentials = grpc.ssl_channel_credentials(trusts or _authority_pem(north), key_pem, chain_pem)
        options = [("grpc.ssl_target_name_override", name)]
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
            ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Who")
            return ask(b"", timeout=10).decode()

    return call


@pytest.fixture
def refused(dial: Dial, north: CampusPki, now_unix_ms: int) -> Refused:
    """Expect that a pair is not let in, and that this was the pair's fault: a good one is."""
    good = terminal(name="good")
    north.issue(good, now_unix_ms)

    def expect(key_pem: bytes, chain_pem: bytes) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            dial(key_pem, chain_pem)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert parse_identity(dial(*_pair(north, good))) == good

    return expect


def test_a_leaf_of_the_own_campus_is_let_in(north: CampusPki, dial: Dial, now_unix_ms: int) -> None:
    north.issue(terminal(), now_unix_ms)
    assert dial(*_pair(north, terminal())) == "campuscard://north/terminal/0001"


def test_a_client_may_send_its_leaf_without_the_intermediate(
    north: CampusPki, dial: Dial, now_unix_ms: int
) -> None:
    leaf = north.issue(terminal(), now_unix_ms).certificate
    key_pem, _ = _pair(north, terminal())
    assert parse_identity(dial(key_pem, files.certificate_pem(leaf))) == terminal()


def test_a_client_that_trusts_the_root_alone_reaches_the_node(
    north: CampusPki, dial: Dial, now_unix_ms: int
) -> None:
    north.issue(terminal(), now_unix_ms)
    root_pem = files.certificate_pem(north.root_certificate())
    assert parse_identity(dial(*_pair(north, terminal()), trusts=root_pem)) == terminal()


def test_a_leaf_of_another_campus_is_not_let_in(
    north: CampusPki, south: CampusPki, refused: Refused, now_unix_ms: int
) -> None:
    south.issue(terminal("south"), now_unix_ms)
    refused(*_pair(south, terminal("south")))


def test_an_expired_leaf_is_not_let_in(north: CampusPki, refused: Refused, now_unix_ms: int) -> None:
    north.issue(terminal(), now_unix_ms - 31 * DAY_MS)
    refused(*_pair(north, terminal()))


@pytest.mark.parametrize(
    ("campus", "domain"), [("south", "north.campus.test"), ("north", "south.campus.test")], ids=["uri", "dns"]
)
def test_a_leaf_outside_the_name_constraints_is_not_let_in(
    north: CampusPki, refused: Refused, now_unix_ms: int, campus: str, domain: str
) -> None:
    authority = certificates.Authority(
        north.authority_certificate(), files.read_key(north.directory / "campus.key")
    )
    key = certificates.new_key()
    leaf = certificates.make_leaf(authority, terminal(campus), domain, key.public_key(), now_unix_ms)
    refused(files.key_pem(key), files.certificate_pem(leaf))


def test_a_client_without_a_certificate_is_not_let_in(port: int, north: CampusPki) -> None:
    credentials = grpc.ssl_channel_credentials(_authority_pem(north))
    options = [("grpc.ssl_target_name_override", "north.campus.test")]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Who")
        with pytest.raises(grpc.RpcError) as caught:
            ask(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_wants_another_campus_does_not_talk_to_this_one(
    north: CampusPki, south: CampusPki, dial: Dial, now_unix_ms: int
) -> None:
    north.issue(terminal(), now_unix_ms)
    pair = _pair(north, terminal())
    with pytest.raises(grpc.RpcError, match="Hostname Verification Check failed"):
        dial(*pair, name="south.campus.test")
    with pytest.raises(grpc.RpcError, match="CERTIFICATE_VERIFY_FAILED"):
        dial(*pair, trusts=_authority_pem(south))


def test_a_renewed_leaf_is_let_in_with_the_same_key(north: CampusPki, dial: Dial, now_unix_ms: int) -> None:
    north.issue(terminal(), now_unix_ms - 31 * DAY_MS)
    old_key, _ = _pair(north, terminal())
    north.issue(terminal(), now_unix_ms, renew=True)
    new_key, chain = _pair(north, terminal())
    assert new_key == old_key
    assert parse_identity(dial(new_key, chain)) == terminal()
    assert len(x509.load_pem_x509_certificates(chain)) == 2
