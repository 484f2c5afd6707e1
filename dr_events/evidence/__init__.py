"""Measurement, verification and evidence: from raw rows to figures that anybody can recompute.

What is pure knows neither Django nor a database, so that `python -m dr_events.verify` runs
anywhere:

    instants  intervals  ordered  baselines  site_baselines  performance  outcomes  tables
    computation  canonical files  package_reader  seal

What touches the database or writes files stands beside it: `gathering`, `package`, `formats`.
"""
