"""``python -m neurolm``, and with it ``torchrun -m neurolm``: the same as the command ``neurolm``."""

import sys

from neurolm.cli import main

if __name__ == "__main__":
    sys.exit(main())
