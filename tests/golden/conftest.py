"""Keep pytest from importing the scripts, which need packages that the tests do without."""

collect_ignore_glob = ["make_*.py"]
