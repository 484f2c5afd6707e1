"""The wire to eDRV and nothing else: what is sent, how answers and webhooks are read, what
failures mean. Knows no models. What eDRV's documents leave open is read tolerantly or is a
setting; each such place says so."""
