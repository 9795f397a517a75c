"""Run every benchmark, one after the other: each module of this package with a `main()`, in the order of their names.

`bench.figures` is left out: it measures again what others of them do, for the table of the scheduler's figures.
"""

import importlib
import pkgutil

import bench


def main() -> None:
    """Run them all; the first that fails ends the run."""
    for module in sorted(found.name for found in pkgutil.iter_modules(bench.__path__)):
        if not module.startswith("_") and module != "figures":
            importlib.import_module(f"bench.{module}").main()


if __name__ == "__main__":
    main()
