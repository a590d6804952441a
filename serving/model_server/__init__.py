"""A model server for development and tests with TensorFlow Serving's protocols; production is the official one."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the C++ runtime's banners; errors reach Python as exceptions
