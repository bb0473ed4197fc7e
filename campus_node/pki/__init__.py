"""Certificates of a campus: root, issuing intermediate, leaves of its machines, and what was revoked."""
