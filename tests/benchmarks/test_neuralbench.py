"""NeuralBench's split of EEGMAT, rebuilt, agrees with what its published figures say of it."""

import csv
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from neurolm.evaluation.published import published
from neurolm.tasks.card import load_task

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
try:
    import neuralbench
finally:
    sys.path.remove(BENCHMARKS)

FIGURES = [figure for figure in published("eegmat") if neuralbench.SOURCE in figure.address]


def test_people_are_divided_as_rows_of_a_table_would_be() -> None:
    """There the rows of the recordings are divided, two for each person, of which the first stands for both."""
    rest, test = train_test_split(np.arange(35) * 2, test_size=0.2, random_state=33, shuffle=True)
    train, validation = train_test_split(rest, test_size=0.2 / (1.0 - 0.2), random_state=33, shuffle=True)
    divided = neuralbench.divide()
    for part, rows in (("train", train), ("validation", validation), ("test", test)):
        wanted = {neuralbench.PEOPLE[row // 2] for row in rows.tolist()}
        assert {person for person, its in divided.items() if its == part} == wanted
    assert (len(train), len(validation), len(test)) == (21, 7, 7)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.model)
def test_published_figures_are_shares_of_its_test_windows(figure) -> None:
    """7 people × 36 windows of rest and 12 of arithmetic: balanced accuracy counts in steps of 1/504, the mean of three
    seeds in steps of 1/1512."""
    value = figure.score("balanced_accuracy").value
    nearest = Fraction(round(value * 1512), 1512)
    assert value == pytest.approx(float(nearest), abs=6e-6)


def test_there_are_eight_of_them() -> None:
    assert [figure.model.split(",")[0] for figure in FIGURES] == [
        "REVE", "handcrafted", "ShallowFBCSPNet", "LaBraM", "CBraMod", "BENDR", "LUNA", "BIOT",
    ]  # fmt: skip
    values = [figure.score("balanced_accuracy").value for figure in FIGURES]
    assert values == sorted(values, reverse=True)


def test_the_folder_holds_what_prepare_and_train_take(tmp_path: Path) -> None:
    data = tmp_path / "eegmat"
    data.mkdir()
    for number in range(36):
        for half in "12":
            (data / f"Subject{number:02}_{half}.edf").write_bytes(b"")
    neuralbench.write(data, tmp_path / "made")
    with (tmp_path / "made" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 70 and all((tmp_path / "made" / row["file"]).is_symlink() for row in rows)
    task = load_task(str(tmp_path / "made" / "card.toml"))
    assert {row["task"] for row in rows} == {task.name} and (task.seconds, task.stride) == (5, 5)
    assert {row["label"] for row in rows} == set(task.labels)
    assert "Subject00" not in {row["subject"] for row in rows}
