"""Who a peer is: what TLS does not check, each refusal with its reason."""

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from campus_node.pki import certificates, files
from campus_node.pki.campus_pki import CampusPki, Reason, make_root_directory
from campus_node.pki.certificates import Authority
from campus_node.pki.trust import CampusTrust, identify, make_trust
from federation.errors import Misconfigured, NotPermitted
from tests.pki.conftest import DAY_MS, terminal

Forge = Callable[..., bytes]


def _trust(pki: CampusPki, campus: str = "north") -> CampusTrust:
    return make_trust(campus, pki.authority_certificate(), pki.crl())


def _leaf(pki: CampusPki, now_unix_ms: int, campus: str = "north") -> bytes:
    return files.certificate_pem(pki.issue(terminal(campus), now_unix_ms).certificate)


@pytest.fixture
def forge(north: CampusPki, now_unix_ms: int) -> Forge:
    """Sign any extensions with north's authority, as a thief of its key or a bug would."""

    def sign(*extensions: x509.ExtensionType) -> bytes:
        authority = Authority(north.authority_certificate(), files.read_key(north.directory / "campus.key"))
        key = certificates.new_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")]))
            .issuer_name(authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(certificates.instant(now_unix_ms))
            .not_valid_after(certificates.instant(now_unix_ms + DAY_MS))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return files.certificate_pem(builder.sign(authority.key, hashes.SHA256()))

    return sign


CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def _uris(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


def test_a_leaf_of_the_own_campus_is_identified(north: CampusPki, now_unix_ms: int) -> None:
    assert identify(_leaf(north, now_unix_ms), _trust(north), now_unix_ms) == terminal()


def test_a_leaf_counts_until_its_last_second_and_not_after(north: CampusPki, now_unix_ms: int) -> None:
    leaf = _leaf(north, now_unix_ms)
    last_unix_ms = now_unix_ms // 1000 * 1000 + 30 * DAY_MS
    assert identify(leaf, _trust(north), last_unix_ms) == terminal()
    with pytest.raises(NotPermitted, match=r"certificate of north/terminal/0001 expired on 20\d\d-"):
        identify(leaf, _trust(north), last_unix_ms + 1000)


def test_a_leaf_counts_on_a_machine_whose_clock_is_nine_minutes_behind(
    north: CampusPki, now_unix_ms: int
) -> None:
    leaf = _leaf(north, now_unix_ms)
    assert identify(leaf, _trust(north), now_unix_ms - 9 * 60_000) == terminal()
    with pytest.raises(NotPermitted, match=r"is not valid before .* compare the clocks"):
        identify(leaf, _trust(north), now_unix_ms - 11 * 60_000)


def test_a_revoked_leaf_is_refused_with_its_date(north: CampusPki, now_unix_ms: int) -> None:
    leaf = _leaf(north, now_unix_ms)
    before = _trust(north)
    north.revoke(terminal(), Reason.KEY_COMPROMISE, now_unix_ms)
    assert identify(leaf, before, now_unix_ms) == terminal()
    with pytest.raises(NotPermitted, match=r"north/terminal/0001 was revoked on 20\d\d-"):
        identify(leaf, _trust(north), now_unix_ms)


def test_a_leaf_of_another_campus_is_refused(north: CampusPki, south: CampusPki, now_unix_ms: int) -> None:
    with pytest.raises(NotPermitted, match=r"issued by CN=south campus authority.*, not by north campus"):
        identify(_leaf(south, now_unix_ms, "south"), _trust(north), now_unix_ms)


def test_a_forged_issuer_name_does_not_help(
    north: CampusPki, root: object, now_unix_ms: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make_root_directory(elsewhere / "root", "test scheme", now_unix_ms)
    twin = CampusPki(elsewhere / "north", "north", "north.campus.test")
    twin.make_authority(elsewhere / "root", 1, now_unix_ms)
    with pytest.raises(NotPermitted, match="not by north campus authority"):
        identify(_leaf(twin, now_unix_ms), _trust(north), now_unix_ms)


def test_another_campuss_name_is_refused_even_when_signed(
    north: CampusPki, forge: Forge, now_unix_ms: int
) -> None:
    leaf = forge(CLIENT, _uris("campuscard://south/terminal/0001"))
    with pytest.raises(NotPermitted, match="bears another campus's name, not north"):
        identify(leaf, _trust(north), now_unix_ms)


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ((), "has 0 URI SANs, must be one"),
        (("campuscard://north/terminal/1", "campuscard://north/node/1"), "has 2 URI SANs, must be one"),
        (("campuscard://north/cashier/1",), "is not campuscard://<campus>"),
        (("https://north/terminal/1",), "is not campuscard://<campus>"),
        (("campuscard://north/terminal/%30",), "is not campuscard://<campus>"),
    ],
)
def test_a_leaf_without_exactly_one_good_uri_is_refused(
    north: CampusPki, forge: Forge, now_unix_ms: int, uris: tuple[str, ...], reason: str
) -> None:
    names = _uris(*uris) if uris else x509.SubjectAlternativeName([x509.DNSName("a.north.campus.test")])
    with pytest.raises(NotPermitted, match=reason):
        identify(forge(CLIENT, names), _trust(north), now_unix_ms)


def test_a_leaf_without_any_name_is_refused(north: CampusPki, forge: Forge, now_unix_ms: int) -> None:
    with pytest.raises(NotPermitted, match="has no URI SAN"):
        identify(forge(CLIENT), _trust(north), now_unix_ms)


def test_a_leaf_that_is_not_for_clients_is_refused(north: CampusPki, forge: Forge, now_unix_ms: int) -> None:
    name = _uris("campuscard://north/terminal/0001")
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    for leaf in (forge(name), forge(name, server)):
        with pytest.raises(NotPermitted, match="is not meant for a client"):
            identify(leaf, _trust(north), now_unix_ms)


@pytest.mark.parametrize(
    "pem", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_refused(north: CampusPki, now_unix_ms: int, pem: bytes) -> None:
    with pytest.raises(NotPermitted, match="cannot be read"):
        identify(pem, _trust(north), now_unix_ms)


def test_the_authority_itself_is_no_machine(north: CampusPki, now_unix_ms: int) -> None:
    with pytest.raises(NotPermitted, match="was issued by"):
        identify(files.certificate_pem(north.authority_certificate()), _trust(north), now_unix_ms)


def test_an_authority_out_of_date_vouches_for_nobody(north: CampusPki, now_unix_ms: int) -> None:
    leaf = _leaf(north, now_unix_ms)
    with pytest.raises(NotPermitted, match="north campus authority expired"):
        identify(leaf, _trust(north), now_unix_ms + 6 * 365 * DAY_MS)


def test_another_campuss_revocation_list_is_not_trusted(north: CampusPki, south: CampusPki) -> None:
    with pytest.raises(Misconfigured, match="was not signed by the campus authority"):
        make_trust("north", north.authority_certificate(), south.crl())


def test_an_old_revocation_list_says_that_it_is_stale_and_still_counts(
    north: CampusPki, now_unix_ms: int
) -> None:
    leaf = _leaf(north, now_unix_ms)
    assert _trust(north).crl_is_stale(now_unix_ms), "made 50 days ago, good for 30"
    north.revoke(terminal(), Reason.UNSPECIFIED, now_unix_ms)
    fresh = _trust(north)
    assert not fresh.crl_is_stale(now_unix_ms)
    with pytest.raises(NotPermitted, match="was revoked"):
        identify(leaf, fresh, now_unix_ms)
