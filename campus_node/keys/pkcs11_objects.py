"""What the objects of our key store on a PKCS#11 token are like."""

from typing import Any, Final

import pkcs11
from pkcs11 import Attribute
from pkcs11.util.ec import encode_named_curve_parameters

from campus_node.keys.hierarchy import KeyName

ENVELOPE_LABEL: Final = "campuscard envelope"
IDENTITY_LABEL: Final = "campuscard identity"
_P256: Final = "secp256r1"


def kept_inside(name: KeyName, stamp: bytes) -> dict[Attribute, Any]:  # attributes are of many types
    """Return what a 3DES key on the token must be: sensitive, not extractable, good for encryption alone."""
    return {
        Attribute.LABEL: str(name),
        Attribute.ID: stamp,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.MODIFIABLE: False,
        Attribute.ENCRYPT: True,
        Attribute.DECRYPT: False,
        Attribute.SIGN: False,
        Attribute.VERIFY: False,
        Attribute.WRAP: False,
        Attribute.UNWRAP: False,
        Attribute.DERIVE: False,
    }


def make_own_keys(session: pkcs11.Session) -> None:
    """Make the envelope key and the identity, both in the token."""
    session.generate_key(
        pkcs11.KeyType.AES,
        256,
        label=ENVELOPE_LABEL,
        store=True,
        template={
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.WRAP: False,
            Attribute.UNWRAP: False,
        },
    )
    curve = session.create_domain_parameters(
        pkcs11.KeyType.EC,
        {Attribute.EC_PARAMS: encode_named_curve_parameters(_P256)},
        local=True,
    )
    curve.generate_keypair(
        label=IDENTITY_LABEL,
        store=True,
        private_template={
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.DERIVE: True,
        },
    )


def keep(session: pkcs11.Session, label: str, content: bytes) -> None:
    """Put bytes under a label, for those who are logged in."""
    session.create_object(
        {
            Attribute.CLASS: pkcs11.ObjectClass.DATA,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.LABEL: label,
            Attribute.VALUE: content,
        }
    )
