"""More cards of campus 1, with the keys that its PSAMs work out for them."""

from dataclasses import replace

from campus_node.keys.hierarchy import campus_factor, card_factor, derive, group_factor, group_of
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.files import PublicFile
from hil_rig.virtual.profile_entries import CardProfile, PurseEntry, Usage

ROOT = bytes.fromhex("FFEEDDCCBBAA99887766554433221100")  # public test key of hil_rig/profiles/card-sm4.toml


def card_of(
    profile: CardProfile,
    number: int,
    *,
    ep_fen: int | None = None,
    card_class: int | None = None,
    remembers: bool = True,
    expires: str | None = None,
    starts: str | None = None,
    issuer: bytes | None = None,
) -> CardProfile:
    """Return a card like another one.

    Args:
        number: of its ASN, its last eight digits.
        ep_fen: what its purse holds.
        card_class: its card type.
        remembers: whether it has file 0017.
        expires, starts: YYYYMMDD.
        issuer: 8 bytes; its PSAMs admit campus 2 as well.
    """
    public = PublicFile.parse(profile.public_file)
    public = replace(
        public,
        asn=public.asn[:6] + bytes.fromhex(f"{number:08d}"),
        issuer=issuer or public.issuer,
        expires=bytes.fromhex(expires) if expires else public.expires,
        starts=bytes.fromhex(starts) if starts else public.starts,
    )
    factors = group_factor(group_of(public.issuer)), campus_factor(public.issuer), card_factor(public.asn)
    purchase = derive(Algorithm.SM4, ROOT, *factors)
    keys = tuple(replace(key, value=purchase) if key.type == Usage.PURCHASE else key for key in profile.keys)
    held = profile.ep
    if ep_fen is not None and held is not None:
        held = PurseEntry(ep_fen, held.balance_max_fen, held.overdraft_fen)
    class_byte = profile.holder_file[:1] if card_class is None else bytes([card_class])
    return replace(
        profile,
        asn=public.asn,
        issuer=public.issuer,
        public_file=public.encode(),
        holder_file=class_byte + profile.holder_file[1:],
        ep=held,
        keys=keys,
        record_files=profile.record_files if remembers else (),
    )
