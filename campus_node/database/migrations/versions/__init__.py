"""Revisions. One that has been released is never edited; the next one corrects it."""
