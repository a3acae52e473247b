import numpy as np
import pytest
from edfio import Edf, EdfSignal

from neurolm.core.errors import ConfigError, StoreError
from neurolm.prepare import plan as module
from neurolm.prepare.journal import CorpusSettings, FileState
from neurolm.prepare.plan import EstimatedRange, Measured, plan
from neurolm.prepare.prepare import prepare
from neurolm.prepare.worker import RecordingJob
from neurolm.recording.options import ReadingOptions
from neurolm.store.store import Store

SECONDS = (20, 20, 30, 30, 60, 120)


def write_edf(path, seconds, *, rate=250, seed=0):
    rng = np.random.default_rng(seed)
    signals = [
        EdfSignal(20 * rng.standard_normal(seconds * rate), rate, label=name, physical_dimension="uV",
                  physical_range=(-500, 500))
        for name in ("Fp1", "Cz", "O2")
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    Edf(signals).write(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for number, seconds in enumerate(SECONDS):
        write_edf(folder / f"s{number}" / "a.edf", seconds, seed=number)
    return folder


def test_a_plan_is_what_preparing_takes(corpus, tmp_path):
    found = plan([corpus], samples=3, reading=ReadingOptions(mains=50))
    out = tmp_path / "store"
    prepare(corpus, out, corpus="folder", jobs=1, reading=ReadingOptions(mains=50))
    rows = Store(out).rows
    assert found.recordings == len(rows) == len(SECONDS)
    assert found.hours.estimate == pytest.approx(sum(SECONDS) / 3600, rel=0.02)
    stored = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    assert found.store_bytes.estimate == pytest.approx(stored, rel=0.1)
    assert found.source_bytes.estimate == sum(file.stat().st_size for file in corpus.rglob("*.edf"))
    assert found.hours.low <= found.hours.estimate <= found.hours.high
    assert 0 < found.core_hours.estimate < 0.01
    assert 50e6 < found.peak_memory < 5e9
    assert {one.channels for one in found.measured} == {3}
    assert max(one.hours for one in found.measured) == pytest.approx(120 / 3600)
    assert found.failed == ()


def test_hours_scale_everything_but_memory(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_measure", fake_measure)
    one, many = plan([corpus], jobs=4), plan([corpus], hours=1000, jobs=4)
    factor = 1000 / one.hours.estimate
    assert many.hours == EstimatedRange(1000, 1000, 1000)
    assert many.store_bytes.estimate == pytest.approx(one.store_bytes.estimate * factor)
    assert many.core_hours.high == pytest.approx(one.core_hours.high * factor)
    assert many.wall_hours == many.core_hours.estimate / 4
    assert many.read_rate == pytest.approx(one.read_rate)
    assert many.peak_memory == one.peak_memory


class Inline:
    """Stands for a process: starting one takes seconds, and one test does."""

    def call(self, function, *given):
        return function(*given)

    def stop(self):
        pass


def fake_measure(tasks):
    return {t.relative: Measured(t.relative, t.size, t.size / 1e6, 3, t.size // 2, 1.0, 10**8) for t in tasks}, []


def test_a_corpus_that_is_not_there_is_simulated(monkeypatch):
    monkeypatch.setattr(module, "Worker", Inline)
    monkeypatch.setattr(module, "SIMULATED_SECONDS", (10, 30))
    found = plan(hours=25_000, simulated_channels=4, simulated_rate=200)
    assert found.recordings == 0
    assert [(one.source, one.channels) for one in found.measured] == [("simulated/10.edf", 4), ("simulated/30.edf", 4)]
    assert found.store_bytes.estimate == pytest.approx(25_000 * 3600 * 200 * 4 * 2, rel=0.05)
    assert found.source_bytes.estimate == pytest.approx(25_000 * 3600 * 200 * 4 * 2, rel=0.05)


def test_files_that_cannot_be_prepared_are_said_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Worker", Inline)
    for number in range(3):
        write_edf(tmp_path / "data" / f"{number}.edf", 30)
    truncated = tmp_path / "data" / "3.edf"
    write_edf(truncated, 30)
    truncated.write_bytes(truncated.read_bytes()[:-3000])
    found = plan([tmp_path / "data"], samples=9, reading=ReadingOptions(mains=50))
    (reason,) = found.failed
    assert "3.edf" in reason and "copy or download it again" in reason
    assert found.recordings == 4
    assert len(found.measured) == 3
    only = tmp_path / "only"
    only.mkdir()
    truncated.rename(only / "3.edf")
    with pytest.raises(StoreError, match=r"nothing that was measured can be prepared: .*3\.edf"):
        plan([only])


def tasks(sizes):
    settings = CorpusSettings("folder", "error", None, None)
    return [RecordingJob(None, f"r{n:03}", f"r{n:03}", None, (FileState("a", size, 0),), settings, None)  # type: ignore[arg-type]
            for n, size in enumerate(sizes)]  # fmt: skip


def test_strata_hold_every_byte_once_and_are_drawn_by_the_seed():
    sizes = np.random.default_rng(0).integers(1, 10**6, 200)
    drawn = module._strata(tasks(sizes), 6, np.random.default_rng(1))
    assert len(drawn) == 6
    assert sum(size for _, size in drawn) == sizes.sum()
    assert max(size for _, size in drawn) < 1.1 * sizes.sum() / 6 + 10**6
    assert [task.size for task, _ in drawn] == sorted(task.size for task, _ in drawn)
    names = [[task.recording for task, _ in module._strata(tasks(sizes), 6, np.random.default_rng(seed))]
             for seed in (1, 1, 2)]  # fmt: skip
    assert names[0] == names[1] != names[2]
    assert len(module._strata(tasks([5]), 6, np.random.default_rng(0))) == 1


def test_the_range_shows_how_different_the_files_are():
    def one(hours):
        return Measured("a", 100, hours, 3, 50, 1.0, 1), 1000.0

    alike = module._extrapolate([one(1.0), one(1.0), one(1.0)], 0)["hours"]
    assert (alike.estimate, alike.low, alike.high) == pytest.approx((30, 30, 30))
    different = module._extrapolate([one(1.0), one(2.0), one(6.0)], 0)["hours"]
    assert different.low < different.estimate < different.high
    assert different.estimate == pytest.approx(90)
    assert different == module._extrapolate([one(1.0), one(2.0), one(6.0)], 0)["hours"]


def test_wrong_arguments_are_refused(tmp_path, corpus):
    with pytest.raises(ConfigError, match="nothing to plan for"):
        plan()
    with pytest.raises(ConfigError, match="hours must be"):
        plan([corpus], hours=-1)
    with pytest.raises(ConfigError, match="samples"):
        plan([corpus], samples=0)
    with pytest.raises(ConfigError, match="channels"):
        plan(hours=1, simulated_channels=0)
    with pytest.raises(StoreError, match="no such folder"):
        plan([tmp_path / "none"])
    with pytest.raises(StoreError, match="is a file"):
        plan([corpus / "s0" / "a.edf"])
