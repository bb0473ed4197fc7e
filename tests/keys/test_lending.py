"""A PSAM's session key on its way to its gateway: nobody else opens it, and no other key goes that way."""

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from campus_node.keys.hierarchy import Usage, algorithm_named, campus_key
from campus_node.keys.key_set import CampusKeys
from campus_node.keys.lending import LEASE_BYTES, open_lease, seal_lease
from campus_node.keys.operations import KeyOperations
from campus_node.keys.store import KeyForbidden, KeyUnknown
from campus_node.lines.counterpart import LeasedKey, lend
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from federation.errors import Refused, Tampered
from tests.keys.conftest import ISSUER, NEIGHBOUR
from tests.tidy.source_files import ROOT

SERIAL = bytes.fromhex("00112233445566778899")
MASTER = bytes.fromhex("0F1E2D3C4B5A69788796A5B4C3D2E1F0")
LEASE = LeasedKey(bytes.fromhex("000000000007"), 0x28, 1, Algorithm.SM4, bytes(range(16)), 1_788_220_800_000)
AnyKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate(key: AnyKey) -> bytes:
    """A certificate that says nothing but whose key it is."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    begins = datetime(2026, 9, 1, tzinfo=UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=1))
    )
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def gateway() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_what_was_lent_is_opened_by_its_gateway(gateway: ec.EllipticCurvePrivateKey) -> None:
    sealed = seal_lease(LEASE, SERIAL, certificate(gateway))
    assert len(sealed) == LEASE_BYTES <= 512
    assert LEASE.key not in sealed
    assert open_lease(sealed, gateway) == (SERIAL, LEASE)
    assert seal_lease(LEASE, SERIAL, certificate(gateway)) != sealed


def test_another_gateway_cannot_open_it(gateway: ec.EllipticCurvePrivateKey) -> None:
    sealed = seal_lease(LEASE, SERIAL, certificate(gateway))
    with pytest.raises(Tampered):
        open_lease(sealed, ec.generate_private_key(ec.SECP256R1()))


def test_every_changed_bit_and_every_cut_is_noticed(gateway: ec.EllipticCurvePrivateKey) -> None:
    sealed = seal_lease(LEASE, SERIAL, certificate(gateway))
    for place in range(len(sealed)):
        with pytest.raises(Tampered):
            open_lease(sealed[:place], gateway)
        changed = bytearray(sealed)
        changed[place] ^= 1 << place % 8
        with pytest.raises(Tampered):
            open_lease(bytes(changed), gateway)


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP384R1()),
                                  lambda: rsa.generate_private_key(65537, 2048)])  # fmt: skip
def test_keys_are_lent_to_certificates_on_p_256_only(make: Callable[[], AnyKey]) -> None:
    with pytest.raises(Refused, match="P-256"):
        seal_lease(LEASE, SERIAL, certificate(make()))


def test_the_worked_example_is_made_byte_for_byte() -> None:
    vector = tomllib.loads((ROOT / "tests" / "vectors" / "lending.toml").read_text(encoding="utf-8"))
    receiver = ec.derive_private_key(int(vector["receiver_private"], 16), ec.SECP256R1())
    once = ec.derive_private_key(int(vector["ephemeral_private"], 16), ec.SECP256R1())
    lease = LeasedKey(
        bytes.fromhex(vector["terminal_id"]),
        vector["usage"],
        vector["key_version"],
        algorithm_named(vector["algorithm"]),
        bytes.fromhex(vector["key"]),
        vector["expires_at_unix_ms"],
    )
    serial = bytes.fromhex(vector["psam_serial"])
    sealed = seal_lease(lease, serial, certificate(receiver), once)
    assert sealed.hex().upper() == vector["lease"]
    assert open_lease(bytes.fromhex(vector["lease"]), receiver) == (serial, lease)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("place", ["sealed", "token"])
def test_file_and_token_lend_what_the_psam_has(
    algorithm: Algorithm, place: str, request: pytest.FixtureRequest, clock: VirtualClock
) -> None:
    store: CampusKeys = request.getfixturevalue(place)
    name = campus_key(Usage.PSAM_SESSION, 7, algorithm, ISSUER)
    store.put(name, MASTER, clock)
    lent = KeyOperations(store).lend_session_key(name, SERIAL)
    assert lent == lend(algorithm, MASTER, SERIAL)
    assert lent != KeyOperations(store).lend_session_key(name, SERIAL[:-1] + b"\x98")


def test_no_other_key_is_lent(store: KeyOperations) -> None:
    for usage in set(Usage) - {Usage.PSAM_SESSION, Usage.TRANSPORT}:
        with pytest.raises(KeyForbidden):
            store.lend_session_key(campus_key(usage, 1, Algorithm.SM4, ISSUER), SERIAL)
    with pytest.raises(KeyForbidden):
        store.lend_session_key(campus_key(Usage.PURCHASE, 1, Algorithm.SM4, NEIGHBOUR), SERIAL)
    with pytest.raises(KeyUnknown):
        store.lend_session_key(campus_key(Usage.PSAM_SESSION, 99, Algorithm.SM4, ISSUER), SERIAL)
    with pytest.raises(ValueError, match="must be 10"):
        store.lend_session_key(campus_key(Usage.PSAM_SESSION, 1, Algorithm.SM4, ISSUER), b"short")
