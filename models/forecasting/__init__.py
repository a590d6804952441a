"""Forecasting methods beside the LSTM, all behind `models.forecasting.forecaster.Forecaster`; see `registry`."""
