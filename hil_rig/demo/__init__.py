"""The demonstration: campuses, crowds and faults on this machine; a scenario that grows with the product."""
