"""Questions in other words: what is asked, that the right answer follows, and that nothing else of a step changes."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from neurolm.batches.text import token_stream
from neurolm.core.batch import NO_TEXT
from neurolm.core.errors import ConfigError
from neurolm.train.instruct import InstructStage
from neurolm.train.pretrain import new_neurolm
from neurolm.train.run import open_run
from neurolm.train.tokenizer import language_of


@pytest.fixture(scope="module")
def make(micro_run, micro_texts):
    """Makes the instruct stage of the micro run, with or without variety."""

    def stage(**settings) -> InstructStage:
        config = replace(micro_run.config, instruct=replace(micro_run.config.instruct, **settings))
        run = replace(
            open_run(micro_run.folder, config=micro_run.config, store=micro_run.store, device="cpu"), config=config
        )
        text, weights = language_of(run)
        return InstructStage(run, new_neurolm(run, config.pretrain, weights), text, token_stream(text, micro_texts))

    return stage


def asked(stage: InstructStage, step: int) -> list[str]:
    """Question and answer of every sample of a step, by the order in which the step draws them."""
    (batch,) = stage.batch(step)["answer"]
    tokens = batch.tokens
    assert tokens is not None
    texts = {}
    for row in range(tokens.text.shape[0]):
        for document in tokens.document[row].unique().tolist():
            ids = tokens.text[row][(tokens.document[row] == document) & (tokens.text[row] != NO_TEXT)].tolist()
            patches = tokens.patch[row][(tokens.document[row] == document) & (tokens.patch[row] >= 0)].tolist()
            if ids:
                texts[patches[0]] = stage.wordings.text.decode(ids[1:])
    assert len(texts) == stage.config.eeg_batch
    return list(texts.values())


def test_without_variety_every_sample_has_its_cards_own_prompt(make):
    stage = make()
    own = {task.prompt + answer for task in stage.run.tasks for answer in task.answers}
    assert {text for step in range(10) for text in asked(stage, step)} <= own
    assert stage.prompts == [stage.wordings.prompt(task, 5, 1) for task in range(len(stage.run.tasks))]


def test_every_wording_is_asked_and_none_that_is_held_out(make):
    stage = make(wordings=True)
    questions: Counter[str] = Counter()
    listed = {task.prompt.partition(" Options: ")[2].partition(" Answer:")[0] for task in stage.run.tasks} - {""}
    for step in range(60):
        for text in asked(stage, step):
            match = re.fullmatch(r"Question: (.+?\?)( Options: .+\.)? Answer:.+", text)
            assert match is not None, text
            questions[match[1]] += 1
            assert match[2] is None or match[2].removeprefix(" Options: ") in listed, "the order is another switch"
    assert set(questions) == {words for task in stage.run.tasks for words in task.wordings}


def test_the_answer_is_the_letter_before_the_right_option(make):
    stage = make(wordings=True, shuffle_options=True)
    orders = set()
    for step in range(40):
        right: Counter[str] = Counter()
        for index in stage.sampler.step(step):
            example = stage.examples[index]
            task = stage.run.tasks[example.task]
            right[task.options[example.answer].text] += 1
        found: Counter[str] = Counter()
        for text in asked(stage, step):
            listed = dict(re.findall(r"\(([A-Z])\) ([^.]+)\.", text))
            answer = re.search(r"Answer: ?\(?(\w+)", text)
            assert answer is not None
            word = str(answer[1])
            found[listed.get(word, word)] += 1
            orders.add(tuple(listed.values()))
        assert found == right
    assert len(orders) == 1 + 6, "every order of three options, and none where nothing is listed"


def test_what_is_asked_follows_from_seed_and_step_and_leaves_the_eeg_alone(make):
    both = {"wordings": True, "shuffle_options": True}
    one, again, plain, other = make(**both), make(**both), make(), make(**both, seed=1)
    assert [asked(one, step) for step in (7, 3)] == [asked(again, step) for step in (3, 7)][::-1]
    assert asked(one, 3) != asked(one, 4)
    assert asked(one, 3) != asked(other, 3)
    assert one.batch(3)["answer"][0].sources == plain.batch(3)["answer"][0].sources


def test_the_longest_wording_must_fit(make):
    stage = make()
    own = max(stage.wordings.longest(number) + task.seconds for number, task in enumerate(stage.run.tasks))
    tasks = tuple(replace(task, phrasings=(f"Or, in many more words: {task.question}",)) for task in stage.run.tasks)
    language = replace(stage.run.config.model.language, positions=own)
    model = replace(stage.run.config.model, language=language)
    stream = token_stream(stage.wordings.text, ["EEG."] * 400)

    def begin(wordings: bool) -> InstructStage:
        config = replace(stage.run.config, model=model, instruct=replace(stage.config, wordings=wordings))
        return InstructStage(replace(stage.run, config=config, tasks=tasks), stage.module, stage.wordings.text, stream)

    assert begin(False).prompts == stage.prompts
    with pytest.raises(ConfigError, match=r"task events: windows of 10 s and \d+ positions with question and answer"):
        begin(True)
