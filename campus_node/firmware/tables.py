"""Tables of firmware images and of their rollouts."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text

from campus_node.database.metadata import metadata

firmware_images = Table(
    "firmware_images",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the signed file
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("minimum_version", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),  # of the signed file, in bytes
    Column("taken_at_unix_ms", BigInteger, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("hash", LargeBinary(32), ForeignKey("firmware_images.hash"), nullable=False),
    Column("policy", Text, nullable=False),  # canonical JSON
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),  # why it stands still; empty if it does not
    Column("ring", Integer, nullable=False),  # that is open; -1 = none yet
    Column("ring_good_since_unix_ms", BigInteger),  # enough of it has the image since then
    Column("begun_at_unix_ms", BigInteger, nullable=False),
    Column("changed_at_unix_ms", BigInteger, nullable=False),
)

rollout_terminals = Table(
    "rollout_terminals",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("terminal_id", LargeBinary(6), primary_key=True),
    Column("name", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("ring", Integer, nullable=False),
)
