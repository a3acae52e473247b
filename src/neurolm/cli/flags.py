"""Arguments of the library in messages, as the flags that they are here."""

import re

_ARGUMENTS = (
    "accept_licence|against|base_url|channels|connections|corpus|data_format|device|every|exclude|gpt2|"
    "hours|include|jobs|mains|option|options|rate|risk|samples|scheduler|seed|split|start|stop|stream|subject|subjects|truncated|unit|unknown|unseen"
)
"""Arguments of the library that are flags here."""


def as_flags(message: str) -> str:
    """Write the library's arguments in a message as the flags that they are here: ``unit='mV'`` as ``--unit mV``."""
    message = re.sub(rf"\b({_ARGUMENTS})=\{{'([^']*)': '([^']*)', …\}}", r"--\1 '\2=\3,…'", message)
    message = re.sub(rf"\b({_ARGUMENTS})='([^']*)'", r"--\1 \2", message)
    message = re.sub(rf"\b({_ARGUMENTS})=(?=\))", r"--\1", message).replace("(options)", "(--options)")
    return re.sub(rf"\b({_ARGUMENTS})=(?=\w)", r"--\1 ", message)


def preparing_flags(message: str) -> str:
    """Write a message as a preparation's flags, of which none names channels: they are renamed in the file."""
    return as_flags(re.sub(r"say what they are with channels=\{.*?…\}, or ", "", message))
