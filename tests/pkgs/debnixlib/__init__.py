"""Turn Debian packages into Nix packages (see ../README.md)."""
