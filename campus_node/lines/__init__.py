"""Lines between tills and a campus: CAN, RS-485, TCP, thin links, their virtual sides (docs/wire.md)."""
