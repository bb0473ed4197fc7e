"""Opens a key store by where it is: a directory, or `pkcs11:LABEL` for a token."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from campus_node.keys.sealed_file import SealedFile
from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from campus_node.keys.pkcs11_token import TokenStore

TOKEN_PREFIX: Final = "pkcs11:"  # noqa: S105  # a place, no secret


def is_token(place: str) -> bool:
    """Tell whether a place is a token."""
    return place.startswith(TOKEN_PREFIX)


def create_store(
    place: str, module: Path | None, passphrase: str, issuer: bytes
) -> "SealedFile | TokenStore":
    """Make an empty store; see `SealedFile.create` and `TokenStore.create`."""
    if is_token(place):
        return _token_store().create(_required(module), place.removeprefix(TOKEN_PREFIX), passphrase, issuer)
    return SealedFile.create(Path(place), issuer, passphrase)


def open_store(place: str, module: Path | None, passphrase: str) -> "SealedFile | TokenStore":
    """Open a store; see `SealedFile.open` and `TokenStore.open`.

    Args:
        place: a directory, or `pkcs11:LABEL`.
        module: the token's PKCS#11 library; None for a directory.
        passphrase: of the file, or the token's PIN.
    """
    if is_token(place):
        return _token_store().open(_required(module), place.removeprefix(TOKEN_PREFIX), passphrase)
    return SealedFile.open(Path(place), passphrase)


def _token_store() -> "type[TokenStore]":
    try:
        from campus_node.keys.pkcs11_token import TokenStore  # noqa: PLC0415  # an extra: not everybody has it
    except ImportError as error:
        raise Misconfigured(Sentence("python-pkcs11 is missing: pip install 'campuscard[pkcs11]'")) from error
    return TokenStore


def _required(module: Path | None) -> Path:
    if module is None:
        raise Misconfigured(Sentence("which PKCS#11 module? give --pkcs11-module FILE"))
    return module
