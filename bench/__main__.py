"""Run every benchmark, one after the other: each module of this package with a `main()`, in the order of their names."""

import importlib
import pkgutil

import bench


def main() -> None:
    """Run them all; the first that fails ends the run."""
    for module in sorted(found.name for found in pkgutil.iter_modules(bench.__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"bench.{module}").main()


if __name__ == "__main__":
    main()
