"""The server's error codes that several modules distinguish."""

from __future__ import annotations

MISSING_RIGHT = 13
"""The user has logged in, and has no right to this operation."""

DUPLICATE_KEY = 11000
"""The document would be the second one with this value of a unique index."""

RETRYABLE_CODES = {6, 7, 89, 91, 112, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 64, 100}
RETRYABLE_CODES |= {43, 94, 133, 134, 175, 237}  # a restart ended a cursor or a plan, or a node is starting
RETRYABLE_CODES |= {215}  # the database is being dropped at this moment
RETRYABLE_CODES |= {50736, 50737, 50738}  # a cursor continued on a connection that was made after a restart
"""Errors after which the same operation may succeed, for example because another server is the primary then."""
