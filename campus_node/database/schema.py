"""The whole schema: imports the tables of every room once, so that `metadata` knows them all."""

import campus_node.devices.tables
import campus_node.firmware.tables
import campus_node.ledger.tables
import campus_node.notices.tables
import campus_node.operators.tables
import campus_node.outbox.tables
import campus_node.records.tables
import campus_node.registry.tables
import campus_node.watch.tables  # noqa: F401
from campus_node.database.metadata import metadata

__all__ = ["metadata"]
