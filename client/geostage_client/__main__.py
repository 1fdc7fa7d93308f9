"""`python -m geostage_client`, the same as `geostage`."""

import sys

from geostage_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
