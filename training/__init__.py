"""The scripts that people launch, and what they are made of."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices are not for users
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
