"""What a notice claims, in words. Pure."""

from campus_node.lines.monitor.cards import shown_asn
from campus_node.lines.monitor.seen import Seen, message_seen
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire


def said_by_notice(notice: wire.Notice, key_id: str, *, open_asn: bool = False) -> Seen:
    """Return a notice in words; its signature was not checked.

    Args:
        key_id: under which key it says it is signed.
    """
    fields: dict[str, object] = {
        "number": notice.number,
        "key_id": key_id,
        "expires_at_unix_ms": notice.expires_at_unix_ms,
        "body": notice.WhichOneof("body"),
    }
    match notice.WhichOneof("body"):
        case "hotlist":
            about, more = hotlist_words(notice.hotlist, open_asn=open_asn)
        case "manifest":
            about, more = _manifest(notice.manifest)
        case "stopped":
            about = Sentence("transfer {transfer} is called off", transfer=notice.stopped.transfer)
            more = {"transfer": notice.stopped.transfer}
        case _:
            about, more = Sentence("nothing that we know"), {}
    words = Sentence("notice {number}, key {key}: {about}", number=notice.number, key=key_id, about=about)
    return message_seen("notice", words, fields["body"] is None, **fields, **more)


def hotlist_words(delta: wire.HotlistDelta, *, open_asn: bool = False) -> tuple[Sentence, dict[str, object]]:
    """Return a hotlist's change in words, and for programs."""
    added = [shown_asn(entry.asn, open_asn=open_asn) for entry in delta.added]
    removed = [shown_asn(asn, open_asn=open_asn) for asn in delta.removed]
    if delta.whole:
        words = Sentence(
            "hotlist of {issuer}, version {new}, the whole list, {bytes} bytes",
            issuer=delta.issuer.hex().upper(),
            new=delta.to_version,
            bytes=len(delta.whole),
        )
        whole = {"issuer": delta.issuer.hex().upper(), "to_version": delta.to_version}
        return words, {**whole, "whole_bytes": len(delta.whole)}
    words = Sentence(
        "hotlist of {issuer}, version {old} to {new}: {added} cards more, {removed} less",
        issuer=delta.issuer.hex().upper(),
        old=delta.from_version,
        new=delta.to_version,
        added=len(added),
        removed=len(removed),
    )
    fields = {"issuer": delta.issuer.hex().upper(), "from_version": delta.from_version}
    return words, {**fields, "to_version": delta.to_version, "added": added, "removed": removed}


def _manifest(manifest: wire.Manifest) -> tuple[Sentence, dict[str, object]]:
    kind = distribution_kind(manifest.kind)
    words = Sentence(
        "transfer {transfer} distributes {kind}, version {version}, {bytes} bytes in {blocks} blocks",
        transfer=manifest.transfer,
        kind=kind,
        version=manifest.version,
        bytes=manifest.size,
        blocks=len(manifest.block_hashes),
    )
    fields: dict[str, object] = {
        "transfer": manifest.transfer,
        "version": manifest.version,
        "size": manifest.size,
    }
    return words, {**fields, "blocks": len(manifest.block_hashes), "hash": manifest.hash.hex()}


def distribution_kind(kind: int) -> Sentence:
    """Return what is distributed."""
    if kind == wire.DISTRIBUTION_KIND_FIRMWARE:
        return Sentence("firmware")
    if kind == wire.DISTRIBUTION_KIND_HOTLIST:
        return Sentence("a hotlist")
    if kind == wire.DISTRIBUTION_KIND_PARAMETERS:
        return Sentence("parameters")
    return Sentence("something unknown")
