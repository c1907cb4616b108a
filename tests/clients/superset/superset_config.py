"""Superset for one run on this machine: its own database is a file that goes with the run."""

import os

SECRET_KEY = "only for a run that ends: 6f1d2c0b"
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_HOME']}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
