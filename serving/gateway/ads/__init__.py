"""Which campaign to show to a customer who is here now: `POST /v1/ads/decide`."""
