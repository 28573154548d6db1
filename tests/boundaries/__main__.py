"""`python -m tests.boundaries`: every import that goes through a wall, and every circle."""

import sys

from tests.boundaries.walls import all_imports, breaches, circle


def main() -> int:
    found = all_imports()
    lines = list(breaches(found))
    if way := circle(found):
        lines.append(f"a circle: {' -> '.join(way)}")
    print("\n".join(lines) if lines else f"{len(found)} imports, none through a wall.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
