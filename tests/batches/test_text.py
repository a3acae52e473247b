"""The text tokenizer against GPT-2's own ids, and its promises: last id, boundaries, round trip, determinism."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from neurolm.batches.text import (
    END_OF_TEXT,
    GPT2_SIZE,
    TextTokenizer,
    read_texts,
    shipped_text,
    token_stream,
)
from neurolm.core.errors import TextError
from neurolm.core.recipes import tiny
from neurolm.tasks.card import all_tasks

SIZE = 600


@pytest.fixture(scope="module")
def trained() -> TextTokenizer:
    return TextTokenizer.train(shipped_text(), SIZE)


@pytest.fixture(scope="module")
def gpt2(shared: Path) -> TextTokenizer:
    return TextTokenizer.load(shared / "gpt2")


def test_end_of_text_is_the_last_id_of_a_trained_tokenizer(trained: TextTokenizer) -> None:
    assert trained.size == SIZE
    assert trained.end_of_text == SIZE - 1
    assert trained.encode(f"No {END_OF_TEXT}")[-1] == SIZE - 1
    assert trained.encode(f"{END_OF_TEXT}{END_OF_TEXT}") == [SIZE - 1] * 2


def test_any_text_comes_back_unchanged(trained: TextTokenizer) -> None:
    text = f"  Größe 10 µV,\tβ\r\n\n 脑电图 😀 don't\x00 {END_OF_TEXT} x"
    assert trained.decode(trained.encode(text)) == text


def test_gpt2_gives_openais_ids(gpt2: TextTokenizer, shared: Path) -> None:
    assert (gpt2.size, gpt2.end_of_text) == (GPT2_SIZE, 50_256)
    prompts = json.loads((shared / "official" / "prompts.json").read_text())
    for task in prompts.values():
        assert [50_257, *gpt2.encode(task["prompt"])] == task["prompt_ids"]
        for label, text in task["label_texts"].items():
            assert [50_257, *gpt2.encode(text)] == task["label_ids"][label]


@pytest.mark.parametrize("kind", ["trained", "gpt2"])
def test_tokens_of_prompt_and_answer_are_those_of_the_sentence(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    for task in all_tasks().values():
        for answer in task.answers:
            whole = tokenizer.encode(task.prompt + answer)
            assert tokenizer.encode(task.prompt) + tokenizer.encode(answer) == whole


def test_training_twice_gives_the_same_tokenizer(trained: TextTokenizer, tmp_path: Path) -> None:
    again = TextTokenizer.train(shipped_text(), SIZE)
    assert again.save(tmp_path / "a").read_bytes() == trained.save(tmp_path / "b").read_bytes()


def test_saved_tokenizer_loads_as_it_was(trained: TextTokenizer, tmp_path: Path) -> None:
    trained.save(tmp_path / "made")
    loaded = TextTokenizer.load(tmp_path / "made")
    text = shipped_text()[0]
    assert loaded.encode(text) == trained.encode(text)
    assert (loaded.size, loaded.end_of_text) == (SIZE, SIZE - 1)
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["tokenizer.json"]


def test_shipped_text_fills_the_tiny_vocabulary() -> None:
    wanted = tiny().model.language.text_tokens
    assert TextTokenizer.train(shipped_text(), wanted).size == wanted


def test_shipped_text_is_few_tokens_in_twice_the_tiny_vocabulary() -> None:
    tokenizer = TextTokenizer.train(shipped_text(), 2048)
    characters = sum(map(len, shipped_text()))
    assert characters > 3.5 * len(token_stream(tokenizer, shipped_text())), "words should be few tokens"


def test_shipped_text_knows_the_words_of_every_card() -> None:
    words = set(" ".join(shipped_text()).replace(".", " ").replace(",", " ").replace("?", " ").split())
    for task in all_tasks().values():
        asked = f"{task.question} Options: " + " ".join(option.text for option in task.options)
        assert set(asked.replace("?", " ").split()) <= words, task.name


def test_text_too_small_for_the_size_is_refused() -> None:
    with pytest.raises(TextError, match=r"only \d+ tokens of the 5000 asked for"):
        TextTokenizer.train(["a small text about a small brain"] * 3, 5000)
    with pytest.raises(TextError, match="at least 257"):
        TextTokenizer.train(shipped_text(), 256)


def test_decoding_eeg_ids_is_refused(trained: TextTokenizer) -> None:
    with pytest.raises(TextError, match=f"id {SIZE} is not a text token"):
        trained.decode([1, SIZE])
    with pytest.raises(TextError, match="id -1 "):
        trained.decode([-1])


def test_cut_gpt2_vocabulary_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    with pytest.raises(TextError, match=r"vocab\.json: 1 tokens, and GPT-2's has 50,257"):
        TextTokenizer.load(tmp_path)
    shutil.copyfile(shared / "gpt2" / "merges.txt", tmp_path / "merges.txt")
    with pytest.raises(TextError, match="do not load"):
        TextTokenizer.load(tmp_path)


def test_tokenizers_that_cannot_serve_are_refused(trained: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"no tokenizer\.json and no vocab\.json and merges\.txt"):
        TextTokenizer.load(tmp_path)
    with pytest.raises(TextError, match="no such folder"):
        TextTokenizer.load(tmp_path / "absent" / "deep")
    file = trained.save(tmp_path)
    state = json.loads(file.read_text())
    state["added_tokens"] = []
    file.write_text(json.dumps(state))
    with pytest.raises(TextError, match="must be the last"):
        TextTokenizer.load(tmp_path)
    file.write_text(file.read_text()[:1000])
    with pytest.raises(TextError, match="not a tokenizer"):
        TextTokenizer.load(tmp_path)


def test_hub_names_are_downloaded_and_failures_explained(
    trained: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.save(tmp_path)
    asked = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision is None
        asked.append((name, allow_patterns))
        if name != "someone/gpt2":
            raise LocalEntryNotFoundError("cannot be reached\nmore")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert TextTokenizer.load("someone/gpt2").size == SIZE
    assert asked == [("someone/gpt2", ["tokenizer.json", "vocab.json", "merges.txt"])]
    with pytest.raises(
        TextError, match=r"gtp2: no such folder, and the Hugging Face hub .*: cannot be reached\); check"
    ):
        TextTokenizer.load("gtp2")


def test_lower_casing_tokenizer_is_refused(trained: TextTokenizer, tmp_path: Path) -> None:
    file = trained.save(tmp_path)
    state = json.loads(file.read_text())
    state["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(state))
    with pytest.raises(TextError, match="not a byte-level tokenizer"):
        TextTokenizer.load(tmp_path)


def test_folder_is_read_in_order_and_checked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.txt").write_text("third")
    (tmp_path / "b.txt").write_text("second µ", encoding="utf-8")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "note.md").write_text("not text for us")
    assert read_texts(tmp_path) == ["first", "second µ", "third"]
    assert read_texts(tmp_path / "b.txt") == ["second µ"]
    assert read_texts() == shipped_text()
    (tmp_path / "d.txt").write_bytes(b"caf\xe9")
    with pytest.raises(TextError, match=r"d\.txt: not UTF-8 text \(byte 3\)"):
        read_texts(tmp_path)
    with pytest.raises(TextError, match="no such folder"):
        read_texts(tmp_path / "absent")
    (tmp_path / "none").mkdir()
    with pytest.raises(TextError, match=r"no text in it \(0 \.txt files\)"):
        read_texts(tmp_path / "none")


def test_stream_closes_every_document(trained: TextTokenizer) -> None:
    texts = ["alpha", "beta and gamma"]
    stream = token_stream(trained, texts)
    assert stream.dtype == np.int32
    assert trained.decode(stream.tolist()) == f"alpha{END_OF_TEXT}beta and gamma{END_OF_TEXT}"
    assert np.count_nonzero(stream == trained.end_of_text) == 2
