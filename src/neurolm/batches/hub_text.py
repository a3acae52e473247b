"""Text tokenizers and chat templates that come with other language models than GPT-2.

Both are a stranger's: a tokenizer may consist of parts that do nothing but cut text and look it up, and a template is
rendered once, apart (`chat_template`), to see what it puts around a question.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from neurolm.batches.chat_template import LONGEST, render_turns
from neurolm.core.errors import TextError
from neurolm.core.files import dump_json, write_text
from neurolm.core.small_files import parse_json, read_small, read_text

SETTINGS_FILE, TEMPLATE_FILE = "tokenizer_config.json", "chat_template.jinja"
"""What `transformers` writes beside ``tokenizer.json``."""
_PARTS = {
    "normalizer": (None, "NFC", "Replace"),
    "pre_tokenizer": (None, "Sequence", "Split", "ByteLevel", "Digits"),
    "post_processor": (None, "Sequence", "ByteLevel", "TemplateProcessing"),
    "decoder": ("Sequence", "ByteLevel", "Replace", "ByteFallback", "Fuse"),
    "model": (None, "BPE"),
}  # fmt: skip
"""Part of a tokenizer's file → the types of it, and of its own parts, that are admitted."""
_INNER = ("pretokenizers", "processors", "decoders")
_REPEATED = re.compile(r"\)[*+{]|\)\?[*+{]")
"""In a pattern: a repeated group, over which a search may take time without end."""
_PATTERN = 1000
"""Most characters of a pattern."""
_ELEMENT = re.compile(
    r"(?P<hidden>\\g|\(\?#|\(\?[a-z]*x|(?!\A)\(\?[a-z-]+\))|\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]])*\]"
    r"|(?P<open>\()|(?P<close>\))|(?P<or>\|)|(?P<many>[*+]|\{\d*(?:,\d*)?\})",
    re.DOTALL,
)
"""In a pattern: what could hide a repetition from a reader; a character or a set of them; what alternatives and
repetitions are made of."""
_MANY, _FEW = 3, 9
"""Repetitions in one alternative, and how often something may be repeated that is not counted among them. A search
may take the power of the former of a text's length; the families' own patterns have two."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What a model's tokenizer_config.json says of its texts."""

    end: str
    """The token that ends a text or an answer."""
    begin: str = ""
    """The token that templates put before a conversation."""
    template: str | None = None
    """Its chat template."""
    source: str = field(default="chat template", compare=False)
    """The file with the template, for messages."""

    @functools.cached_property
    def turns(self) -> tuple[str, str] | None:
        """What stands before a user's question, and between it and the model's answer; None: the model has no chat.

        A template that cannot be rendered, or that changes the question or leaves it out, has no place for it: such a
        model is asked in plain text.

        Raises
        ------
        TextError
            If the template does not end, or takes more memory than any template needs.
        """
        return None if self.template is None else _turns(self)

    def save(self, folder: Path) -> None:
        """Write it as `transformers` does."""
        found = {"eos_token": self.end, "bos_token": self.begin or None, "chat_template": self.template}
        write_text(folder / SETTINGS_FILE, dump_json(found, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, *, end: str | None = None) -> Self:
        """Read it from a model's folder.

        Parameters
        ----------
        end
            The token that ends a text, where tokenizer_config.json does not say it.

        Raises
        ------
        TextError
            If the file cannot be read, or nothing says what ends a text.
        """
        path = folder / SETTINGS_FILE
        try:
            found = parse_json(read_small(path))
            template = read_text(folder / TEMPLATE_FILE) if (folder / TEMPLATE_FILE).is_file() else None
        except (OSError, ValueError) as error:
            raise TextError(f"{path}: cannot be read ({error}); download it again") from error
        if not isinstance(found, dict):
            raise TextError(f"{path}: holds no settings; download it again")
        ends = _token(found.get("eos_token")) or end
        if not ends:
            raise TextError(
                f"{path}: says no eos_token, the token that ends a text: add it, as the model's card has it"
            )
        source = path if template is None else folder / TEMPLATE_FILE
        template = template or _chosen(found.get("chat_template"))
        if template is not None and len(template) > LONGEST:
            raise TextError(f"{source}: a chat template of {len(template):,} characters; at most {LONGEST:,} are read")
        return cls(end=ends, begin=_token(found.get("bos_token")) or "", template=template, source=str(source))


def _token(value: Any) -> str | None:
    """A token's text, which is written as it is or as a dictionary."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None


def _chosen(value: Any) -> str | None:
    """The template, where there are several the one that is called default."""
    if isinstance(value, list):
        named = {one.get("name"): one.get("template") for one in value if isinstance(one, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


@functools.cache
def _turns(manner: Manner) -> tuple[str, str] | None:
    return render_turns(manner.template or "", manner.begin, manner.end, source=manner.source)


def plain_hub(found: Mapping[str, Any], source: Path | str, *, tokens: int | None = None) -> str:
    """Return the content of a model's ``tokenizer.json``, if it consists of nothing but what cuts and looks up text.

    Padding, truncation and tokens that are added by themselves are taken out.

    Parameters
    ----------
    tokens
        Tokens that the model has: special ones beyond them, as Gemma's tokenizer has for pictures, are taken out.

    Raises
    ------
    TextError
        Naming the part that is not admitted.
    """
    for part, allowed in _PARTS.items():
        for inner in _inner(found.get(part)):
            kind = inner.get("type") if isinstance(inner, dict) else inner
            if kind not in allowed:
                raise TextError(
                    f"{source}: its {part} is {str(kind)[:60]}, which is not read here; choose another model"
                )
            _require_simple(inner, source)
    model = found.get("model")
    if not isinstance(model, dict) or model.get("dropout"):
        raise TextError(f"{source}: not a tokenizer that gives the same tokens each time; choose another model")
    added = [one for one in found.get("added_tokens") or () if tokens is None or one.get("id", 0) < tokens]
    changes = {"padding": None, "truncation": None, "post_processor": None, "added_tokens": added}
    return dump_json(dict(found) | changes)


def _inner(part: Any) -> Iterator[Any]:
    """A part, and the parts that it is a sequence of."""
    yield part
    if isinstance(part, dict):
        for name in _INNER:
            for inner in part.get(name) or ():
                yield from _inner(inner)


def _require_simple(part: Any, source: Path | str) -> None:
    """Refuse patterns over which a search may never end, and replacements that make a text longer."""
    if not isinstance(part, dict):
        return
    pattern = part.get("pattern") or {}
    regex = pattern.get("Regex", "") if isinstance(pattern, dict) else ""
    if len(regex) > _PATTERN or _REPEATED.search(regex) or _repetitions(regex) >= _MANY:
        raise TextError(f"{source}: it cuts text by the pattern {regex[:60]!r}…, which may take for ever")
    if part.get("type") == "Replace" and (regex or len(str(part.get("content"))) > 1):
        raise TextError(f"{source}: it replaces {str(pattern)[:60]} by {str(part.get('content'))[:60]!r}")


def _repetitions(regex: str) -> int:
    """How many repetitions follow one another in a pattern at most; alternatives within groups count together."""
    most = here = depth = 0
    for part in _ELEMENT.finditer(regex):
        kind = part.lastgroup
        if kind == "hidden":
            return _MANY
        if kind in ("open", "close"):
            depth += 1 if kind == "open" else -1
        elif kind == "or" and depth == 0:
            here = 0
        elif kind == "many" and _is_many(part[0]):
            here += 1
            most = max(most, here)
    return most


def _is_many(repetition: str) -> bool:
    """Whether ``*``, ``+``, ``{3}`` or ``{1,3}`` leaves a search many ways to go."""
    _, comma, most = repetition.strip("{}").partition(",")
    return repetition in "*+" or (bool(comma) and int(most or _FEW + 1) > _FEW)
