"""``python -m immunolab``: the command line."""

import sys

from immunolab.cli import main

if __name__ == "__main__":
    sys.exit(main())
