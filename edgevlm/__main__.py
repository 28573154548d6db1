import sys

from edgevlm.cli import main

sys.exit(main())
