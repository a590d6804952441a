"""From demand quantiles to orders: distributions, optimizers and a simulator on numpy and scipy alone."""
