"""Which customer gets which offer now: campaigns that know who consented, what was sent, and what is in stock."""
