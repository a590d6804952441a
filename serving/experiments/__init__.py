"""Experiments: who sees which variant, how many units are needed, and what the outcomes say."""
