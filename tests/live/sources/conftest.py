"""Streams of the Lab Streaming Layer on this machine alone, found without multicast, which CI may not have."""

import os
import tempfile
from pathlib import Path

# liblsl reads this once, when it is first used: streams of tests that run beside these are seen, others are not.
_SETTINGS = (
    "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -3\n"
)
if "LSLAPICFG" not in os.environ:
    _file = Path(tempfile.mkdtemp()) / "lsl_api.cfg"
    _file.write_text(_SETTINGS)
    os.environ["LSLAPICFG"] = str(_file)
