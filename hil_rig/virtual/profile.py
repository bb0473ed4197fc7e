"""Reads profiles: TOML to `CardProfile` and `PsamProfile`."""

from pathlib import Path

from hil_rig.virtual.profile_entries import CardProfile, PsamProfile

__all__ = ["CardProfile", "PsamProfile", "load_card_profile", "load_profile", "load_psam_profile"]


def load_profile(source: str | Path) -> CardProfile | PsamProfile:
    """Return the profile of a file, or a shipped one by its name, such as "card-3des".

    Raises:
        Misconfigured: there is no such profile, or it has unknown, missing or wrong entries.
    """
    raise NotImplementedError


def load_card_profile(source: str | Path) -> CardProfile:
    """Return a card's profile. Raise Misconfigured, also if it is a PSAM's."""
    raise NotImplementedError


def load_psam_profile(source: str | Path) -> PsamProfile:
    """Return a PSAM's profile. Raise Misconfigured, also if it is a card's."""
    raise NotImplementedError
