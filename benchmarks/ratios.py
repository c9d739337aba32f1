"""Everything that is measured beside a rival, in one run: `make ratios`.

    python -m benchmarks.ratios

Processor time where nothing is waited for, so that a busy machine says nearly the same as an idle one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

from benchmarks import evaluate, growth, layer, recording
from hil.network.weights import load_weights


def main() -> None:
    evaluate.beside_the_products()
    layer.main()
    growth.main()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        recording.beside_appending(load_weights(), "0:20", 6, Path(folder))


if __name__ == "__main__":
    main()
