"""`python -m campus_node.cli` is the same as `campus`."""

import sys

from campus_node.cli import main

sys.exit(main())
