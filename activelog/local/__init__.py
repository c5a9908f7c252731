"""What only a developer's machine and the command line need: a private Postgres, everything in one
terminal, the demo. `activelog api` and workers do not load it."""
