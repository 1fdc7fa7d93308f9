"""./dev demo."""

import argparse


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    raise NotImplementedError(options)
