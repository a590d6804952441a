"""The scripts that people launch, and what they are made of.

Importing this package starts TensorFlow once with its C++ start-up notices held back: they are written before any log
level applies, and "Could not find cuda drivers" reads like an error to whoever has no GPU.
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def _start_tensorflow_quietly() -> None:
    """Import TensorFlow and look for devices; what it writes to standard error is shown only if that fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
        except BaseException:
            held.seek(0)
            stderr.write(held.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)


if "tensorflow" not in sys.modules:
    _start_tensorflow_quietly()
