"""Key stores on both kinds of places, blank cards and PSAMs to write into, and SoftHSM where it is there."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.key_set import CampusKeys
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.profile import CardProfile, PsamProfile, read_card_profile, read_psam_profile
from federation.clock import VirtualClock
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from tests.tidy.source_files import ROOT

QUICK = Cost(memory_kib=64, iterations=1, lanes=1)  # a test's passphrase need not withstand anybody
PASSPHRASE = "correct horse battery"
ISSUER = bytes.fromhex("4355434100000001")
NEIGHBOUR = bytes.fromhex("4355434100000002")
TRANSPORT = campus_key(Usage.TRANSPORT, 0, Algorithm.TDES, ISSUER)
TRANSPORT_KEY = bytes.fromhex("404142434445464748494A4B4C4D4E4F")  # of the blank profiles of the rig
SOFTHSM_ADVICE = "SoftHSM is missing: scripts/services softhsm (Debian: apt-get install softhsm2)"
SOFTHSM_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
TOKEN_PIN = "642531"
SECRETS = {
    "store": "the store's own passphrase",
    "southern": "the neighbour's passphrase",
    "li": "li has a passphrase",
    "wang": "wang has a passphrase",
    "zhao": "zhao has a passphrase",
    "new": "quite another passphrase",
}
TOKENS = 12  # made before the library looks: it does not see later ones


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still."""
    return VirtualClock()


@pytest.fixture
def sealed(tmp_path: Path) -> SealedFile:
    """An empty key store in a file."""
    return SealedFile.create(tmp_path / "keys", ISSUER, PASSPHRASE, QUICK)


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PKCS#11 module of SoftHSM, with empty tokens `token-1`, `token-2` … in a directory of the tests."""
    module = next((Path(path) for path in SOFTHSM_MODULES if Path(path).exists()), None)
    if module is None:
        pytest.skip(SOFTHSM_ADVICE)
    pytest.importorskip("pkcs11", reason="python-pkcs11 is missing: pip install 'campuscard[pkcs11]'")
    directory = tmp_path_factory.mktemp("softhsm")
    tokens = directory / "tokens"
    tokens.mkdir()
    settings = directory / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)  # read once, when the library is loaded
    initialise = ("softhsm2-util", "--init-token", "--free")
    for number in range(1, TOKENS + 1):
        subprocess.run(
            [*initialise, "--label", f"token-{number}", "--pin", TOKEN_PIN, "--so-pin", "12345678"],
            check=True,
            capture_output=True,
        )
    return module


@pytest.fixture(scope="session")
def free_tokens(softhsm: Path) -> Iterator[str]:
    """Labels of tokens that nobody has used yet."""
    return (f"token-{number}" for number in range(1, TOKENS + 1))


@pytest.fixture
def token(softhsm: Path, free_tokens: Iterator[str]) -> Iterator[CampusKeys]:
    """An empty key store on a token."""
    from campus_node.keys.pkcs11_token import TokenStore

    store = TokenStore.create(softhsm, next(free_tokens), TOKEN_PIN, ISSUER)
    yield store
    store.close()


@pytest.fixture
def purchase_keys(sealed: SealedFile, clock: VirtualClock) -> None:
    """Puts campus-level purchase keys of two issuers into the sealed store, as a ceremony would."""
    for owner in (ISSUER, NEIGHBOUR):
        for version, algorithm in ((1, Algorithm.TDES), (2, Algorithm.SM4), (1, Algorithm.SM4)):
            name = campus_key(Usage.PURCHASE, version, algorithm, owner)
            sealed.put(name, os.urandom(16), clock, foreign=owner != ISSUER)


@pytest.fixture
def store(sealed: SealedFile, purchase_keys: None, clock: VirtualClock) -> KeyOperations:
    """All that a campus needs to make cards: its own keys of versions 1 and 2, and the transport key."""
    from campus_node.keys.key_set import draw_missing

    for version in (1, 2):
        draw_missing(sealed, version, Algorithm, clock)
    sealed.put(TRANSPORT, TRANSPORT_KEY, clock)
    return KeyOperations(sealed)


@pytest.fixture
def without_values(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a shipped profile without its test keys: a profile for personalisation from a key store."""

    def copy(name: str) -> Path:
        text = (ROOT / "hil_rig" / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
        text = re.sub(r"^(value|test_keys) = .*\n", "", text, flags=re.MULTILINE)
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return copy


@pytest.fixture
def card_profile(without_values: Callable[[str], Path]) -> Callable[[str], CardProfile]:
    """A shipped card's profile without its keys."""
    return lambda name: read_card_profile(without_values(name))


@pytest.fixture
def psam_profile(without_values: Callable[[str], Path]) -> PsamProfile:
    """The shipped PSAM's profile without its keys, and with sessions as a PSAM of ours has them."""
    path = without_values("psam")
    text = path.read_text(encoding="utf-8")
    session = re.compile(r"\[\[application\.key\]\]\nusage = \"session\"\nindex = 8\n(?:.+\n)+", re.MULTILINE)
    path.write_text(session.sub("", text), encoding="utf-8")
    return read_psam_profile(path)


@pytest.fixture
def reader() -> VirtualReader:
    """A reader in this process."""
    return VirtualReader()


def blank_card() -> VirtualCard:
    """A card as the factory delivers it."""
    return VirtualCard(load_card_profile("card-blank"))


def blank_psam() -> VirtualPsam:
    """A PSAM as the factory delivers it."""
    return VirtualPsam(load_psam_profile("psam-blank"))
