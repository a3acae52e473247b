"""Pages of traces: what MNE and scipy make of the same recording, the binary form, and the routes."""

import json
import struct
import time

import edfio
import mne
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import signal as scipy_signal

from neurolm.core.errors import ConfigError
from neurolm.recording.options import ReadingOptions
from neurolm.server.traces import build
from neurolm.server.traces.display_filters import DisplayFilters
from neurolm.server.traces.montages import derive, offered
from neurolm.server.traces.order import place, side
from neurolm.server.traces.page import Request, finish, overview, render
from neurolm.server.traces.pyramid import NOTHING, Pyramid

RATE = 200
NAMES = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz", "C4", "T4", "T5", "P3", "Pz", "P4", "T6", "O1", "O2",
)  # fmt: skip


def decode(data: bytes) -> tuple[dict, np.ndarray]:
    """A page as a reader of the description would take it apart: header and µV, NaN where nothing is."""
    assert data[:4] == b"NLT1"
    (length,) = struct.unpack("<I", data[4:8])
    assert (8 + length) % 4 == 0
    header = json.loads(data[8 : 8 + length].decode())
    counts = np.frombuffer(data[8 + length :], "<i2")
    shape = (len(header["channels"]), header["columns"], *([2] if header["kind"] == "minmax" else []))
    counts = counts.reshape(shape)
    values = counts.astype(float)
    axes = (slice(None), *[None] * (values.ndim - 1))
    values = values * np.array(header["scale"])[axes]
    values[counts == NOTHING] = np.nan
    return header, values


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A minute and a half of 19 electrodes on offsets, EOG beside them; its pyramid and MNE's object of the file."""
    folder = tmp_path_factory.mktemp("traces")
    random = np.random.default_rng(5)
    samples = 90 * RATE
    hum = 10 * np.sin(2 * np.pi * 50 * np.arange(samples) / RATE)
    data = random.normal(0, 20, (len(NAMES), samples)).cumsum(axis=1) * 0.1 + random.normal(0, 15, samples) + hum
    data += random.uniform(-300, 300, (len(NAMES), 1))
    data[3] += random.normal(0, 2000, samples)  # F3 is noisy
    signals = [
        edfio.EdfSignal(x, RATE, label=f"EEG {n}-REF", physical_dimension="uV")
        for n, x in zip(NAMES, data, strict=True)
    ]
    signals.append(edfio.EdfSignal(random.normal(0, 50, samples), RATE, label="EOG left", physical_dimension="uV"))
    path = folder / "a.edf"
    edfio.Edf(signals).write(path)
    build.begin(path, ReadingOptions(), folder / "traces")
    while build.advance(1) < 1:
        pass
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    raw.rename_channels({f"EEG {name}-REF": name.upper() for name in NAMES})
    raw.set_channel_types({"EOG left": "eog"}, verbose="error")
    return Pyramid(folder / "traces"), raw


def of(raw, names, start, seconds):
    """What MNE has of channels, in µV."""
    first = round(start * RATE)
    return raw.get_data(picks=list(names), start=first, stop=first + round(seconds * RATE)) * 1e6


def without_baseline(header, values):
    return values + np.array(header["baseline"])[:, None]


def test_as_recorded_is_what_mne_reads_left_before_right(recording):
    pyramid, raw = recording
    header, values = decode(render(pyramid, Request(3.5, 10, 1200)))
    assert header["kind"] == "samples" and header["columns"] == 2000 and header["seconds"] == 10
    expected = of(raw, header["channels"], 3.5, 10)
    step = np.array(header["scale"])[:, None]
    assert (np.abs(without_baseline(header, values) - expected) <= step / 2 + 0.001).all()
    assert header["channels"][:3] == ["FP1", "F7", "F3"] and header["channels"][-4:] == ["FZ", "CZ", "PZ", "EOG left"]
    sides = [side(name) for name in header["channels"][:-1]]
    assert sides == ["left"] * 8 + ["right"] * 8 + ["mid"] * 3


def test_the_average_reference_is_mnes_without_bad_channels(recording):
    pyramid, raw = recording
    header, values = decode(render(pyramid, Request(10, 5, 1200, "average", bad=("O2",))))
    raw = raw.copy()
    raw.info["bads"] = ["F3", "O2"]  # MNE leaves the bad out, too
    raw.set_eeg_reference("average", verbose="error")
    names = [name.removesuffix("-avg") for name in header["channels"]]
    assert set(names) == set(raw.ch_names) and header["channels"][0] == "FP1-avg" and names[-1] == "EOG left"
    found = dict(zip(names, without_baseline(header, values), strict=True))
    for name in set(names) - {"F3", "O2"}:  # which MNE leaves as they are
        np.testing.assert_allclose(found[name], of(raw, [name], 10, 5)[0], atol=0.1)
    mean = of(recording[1], [n.upper() for n in NAMES if n not in ("F3", "O2")], 10, 5).mean(axis=0)
    np.testing.assert_allclose(found["O2"], of(recording[1], ["O2"], 10, 5)[0] - mean, atol=0.1)


def test_the_bipolar_montage_is_mnes(recording):
    pyramid, raw = recording
    header, values = decode(render(pyramid, Request(10, 5, 1200, "bipolar")))
    names = header["channels"]
    assert names[:4] == ["FP1-F7", "F7-T3", "T3-T5", "T5-O1"] and names[8:10] == ["FZ-CZ", "CZ-PZ"]
    assert len(names) == 19 and names[-1] == "EOG left"
    pairs = [name.split("-") for name in names[:-1]]
    derived = mne.set_bipolar_reference(
        raw, [one for one, _ in pairs], [two for _, two in pairs], drop_refs=False, verbose="error"
    )
    np.testing.assert_allclose(
        without_baseline(header, values)[:-1], of(derived, names[:-1], 10, 5), atol=max(header["scale"])
    )
    assert [name for name, why in zip(names, header["bad"], strict=True) if why] == ["FP1-F3", "F3-C3"]


def test_a_montage_of_ones_own(recording):
    pyramid, raw = recording
    header, values = decode(render(pyramid, Request(0, 2, 1200, "fp1-f7, T7-P7,Cz,O1-avg,EEG Pz-REF,EOG left")))
    assert header["channels"] == ["FP1-F7", "T3-T5", "CZ", "O1-avg", "PZ", "EOG left"]
    expected = of(raw, ["T3"], 0, 2) - of(raw, ["T5"], 0, 2)
    np.testing.assert_allclose(without_baseline(header, values)[1], expected[0], atol=0.1)


@pytest.mark.parametrize("montage", ["Fp1-X9", "X9", "Fp1-F7,X9-avg"])
def test_an_error_names_the_channel_that_is_not_there(recording, montage):
    with pytest.raises(ConfigError, match="'X9'; there are FP1, F7"):
        render(recording[0], Request(0, 2, 100, montage))


def test_montages_are_offered_where_they_make_sense():
    def channel(label, electrode, kind="eeg"):
        return {"name": electrode or label, "label": label, "electrode": electrode, "kind": kind, "bad": None}

    night = [channel(f"{name}-{ear}", name) for name, ear in (("F3", "M2"), ("C3", "M2"), ("F4", "M1"), ("C4", "M1"))]
    assert {one["id"]: one["channels"] for one in offered(night)} == {
        "recorded": ["F3", "C3", "F4", "C4"], "bipolar": ["F3-C3", "F4-C4"],
    }  # fmt: skip
    ready = [channel("FP1-F7", "FP1-F7"), channel("F7-T3", "F7-T7"), channel("ECG", None, "ecg")]
    assert [one["id"] for one in offered(ready)] == ["recorded", "bipolar"]
    with pytest.raises(ConfigError, match="choose montage=recorded"):
        derive("average", ready)


def test_clinical_order():
    names = ["O2", "CZ", "F7", "FP2", "O1", "A1", "T3", "FP1", "PZ", "F3", "T4", "CP5"]
    assert sorted(["C4", "T4", "C3", "T3"], key=place) == ["T3", "C3", "T4", "C4"], "from the side to the centre"
    assert sorted(names, key=place) == ["FP1", "F7", "F3", "T3", "A1", "CP5", "O1", "FP2", "T4", "O2", "CZ", "PZ"]


FILTERS = (
    {"highpass": 0.5, "lowpass": 70, "notch": 50}, {"highpass": 0.1, "lowpass": 30}, {"highpass": 5},
    {"lowpass": 15}, {"notch": 50},
)  # fmt: skip


def whole(data, highpass=0.0, lowpass=0.0, notch=0.0, rate=RATE):
    """What scipy makes of a whole recording, filter after filter."""
    for edge, kind in ((highpass, "highpass"), (lowpass, "lowpass")):
        if edge:
            data = scipy_signal.sosfiltfilt(scipy_signal.butter(2, edge, kind, fs=rate, output="sos"), data, axis=1)
    return scipy_signal.filtfilt(*scipy_signal.iirnotch(notch, 30, fs=rate), data, axis=1) if notch else data


@pytest.mark.parametrize("how", FILTERS, ids=str)
@pytest.mark.parametrize("start", [37.0, 41.5])
def test_a_filtered_page_is_a_cut_of_the_whole_filtered_recording(recording, how, start):
    pyramid, raw = recording
    header, values = decode(render(pyramid, Request(start, 10, 1200, filters=DisplayFilters(**how))))
    names = header["channels"]
    data = raw.get_data(picks=names) * 1e6
    first = round(start * RATE)
    expected = whole(data, **how)[:, first : first + 10 * RATE]
    size = np.ptp(data, axis=1, keepdims=True)
    error = np.abs(without_baseline(header, values) - expected) / size
    assert header["filtered"] and error.max() < 2e-4  # of the signal's range


def test_pages_side_by_side_and_pages_of_the_beginning_agree(recording):
    pyramid, _ = recording
    how = DisplayFilters(highpass=0.5, lowpass=70, notch=50)
    (_, one), (_, two) = (decode(render(pyramid, Request(start, 10, 1200, filters=how))) for start in (20, 25))
    assert np.abs(one[:, 1000:] - two[:, :1000]).max() < 0.5
    header, first = decode(render(pyramid, Request(0, 10, 1200, filters=how)))
    _, longer = decode(render(pyramid, Request(0, 30, 8000, filters=how)))
    assert np.abs(first - longer[:, :2000]).max() < 2 * max(header["scale"]) + 0.2


def test_a_hum_goes_and_ten_hertz_stay_where_they_are(tmp_path):
    times = np.arange(30 * RATE) / RATE
    wave = 50 * np.sin(2 * np.pi * 10 * times)
    signals = [edfio.EdfSignal(wave + 40 * np.sin(2 * np.pi * 50 * times), RATE, label=n, physical_dimension="uV")
               for n in ("C3", "C4")]  # fmt: skip
    edfio.Edf(signals).write(tmp_path / "a.edf")
    build.begin(tmp_path / "a.edf", ReadingOptions(), tmp_path / "traces")
    while build.advance(1) < 1:
        pass
    how = DisplayFilters(highpass=0.5, lowpass=70, notch=50)
    _, values = decode(render(Pyramid(tmp_path / "traces"), Request(10, 10, 1200, filters=how)))
    assert np.abs(values[0] - wave[10 * RATE : 20 * RATE]).max() < 1.0  # no phase shift, 50 Hz below 2 %


def test_what_lies_on_both_sides_of_a_gap_is_filtered_apart(tmp_path):
    data = np.random.default_rng(1).normal(0, 20, (2, 60 * RATE)).cumsum(axis=1) * 0.2
    data[:, 30 * RATE :] += 5000  # another offset after the gap would ring, were it filtered in one piece
    raw = mne.io.RawArray(data * 1e-6, mne.create_info(["C3", "C4"], RATE, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([28.0], [2.0], ["BAD_ACQ_SKIP"]))
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    build.begin(tmp_path / "a_raw.fif", ReadingOptions(), tmp_path / "traces")
    while build.advance(1) < 1:
        pass
    pyramid = Pyramid(tmp_path / "traces")
    how = {"highpass": 0.5, "lowpass": 70}
    _, values = decode(render(pyramid, Request(20, 20, 8000, filters=DisplayFilters(**how))))
    assert np.isnan(values[:, 8 * RATE : 10 * RATE]).all()
    sections = [scipy_signal.butter(2, edge, kind, fs=RATE, output="sos") for kind, edge in how.items()]
    before, after = (
        scipy_signal.sosfiltfilt(np.concatenate(sections), part, axis=1)
        for part in (data[:, : 28 * RATE], data[:, 30 * RATE :])
    )
    assert np.abs(values[:, : 8 * RATE] - before[:, 20 * RATE :]).max() < 0.2
    assert np.abs(values[:, 10 * RATE :] - after[:, : 10 * RATE]).max() < 0.2


@pytest.mark.parametrize("montage", ["recorded", "bipolar"])
@pytest.mark.parametrize("columns", [40, 300])
def test_columns_hold_the_extremes_of_their_samples(recording, montage, columns):
    pyramid, _ = recording
    header, values = decode(render(pyramid, Request(7, 77, columns, montage)))
    assert header["kind"] == "minmax" and header["columns"] == columns
    _, samples = decode(render(pyramid, Request(7, 77, 8000, montage)))
    width = samples.shape[1] // columns
    for at in range(1, columns - 1):
        inner = samples[:, at * 77 * RATE // columns :][:, : width // 2]  # bins of up to half a column are not cut
        outer = samples[:, max((at - 1) * 77 * RATE // columns, 0) : (at + 2) * 77 * RATE // columns]
        slack = 3 * np.array(header["scale"])  # of three roundings
        assert (values[:, at, 0] <= inner.min(axis=1) + slack + 0.1).all()
        assert (values[:, at, 1] >= inner.max(axis=1) - slack - 0.1).all()
        assert (values[:, at, 0] >= outer.min(axis=1) - slack - 0.1).all()
        assert (values[:, at, 1] <= outer.max(axis=1) + slack + 0.1).all()


def test_long_pages_are_made_piece_by_piece(recording, monkeypatch):
    asked = [Request(7, 77, columns, "bipolar") for columns in (1, 7, 300)]
    whole_ones = [render(recording[0], one) for one in asked]
    monkeypatch.setattr("neurolm.server.traces.page._PIECE", 5000)
    assert [render(recording[0], one) for one in asked] == whole_ones
    monkeypatch.setattr("neurolm.server.traces.page.DERIVED_VALUES", 10_000)
    with pytest.raises(ConfigError, match="ask for fewer seconds, or for montage=recorded"):
        render(recording[0], asked[0])


def test_a_page_says_when_it_is_not_filtered(recording, monkeypatch):
    monkeypatch.setattr("neurolm.server.traces.page.FILTERED_VALUES", 1000)
    request = Request(0, 60, 100, filters=DisplayFilters(highpass=1))
    assert decode(render(recording[0], request))[0]["filtered"] is False
    assert decode(render(recording[0], Request(0, 60, 100)))[0]["filtered"] is True


def test_the_overview_is_the_range_over_good_electrodes(recording):
    pyramid, raw = recording
    header, values = decode(overview(pyramid, 50))
    names = [name.upper() for name in NAMES if name != "F3"]
    data = raw.get_data(picks=names) * 1e6
    data -= np.median(data, axis=1, keepdims=True)
    assert values.shape == (1, 50, 2) and header["seconds"] == 90
    assert values[0, :, 0].min() == pytest.approx(data.min(), rel=0.1)
    assert values[0, :, 1].max() == pytest.approx(data.max(), rel=0.1)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 40)),
                  elements=st.floats(-1e9, 1e9, width=32) | st.just(float("nan")))
)  # fmt: skip
def test_what_travels_comes_back_within_half_a_step(values):
    header = {"channels": [f"c{i}" for i in range(len(values))], "columns": values.shape[1], "kind": "samples"}
    header, found = decode(finish(header, values.astype(float)))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    step = np.array(header["scale"])[:, None]
    assert (np.abs(np.nan_to_num(found) - np.nan_to_num(values)) <= step * 0.5001).all()


@pytest.mark.parametrize("filters", [{}, {"lowpass": 50}, {"highpass": 0.5}], ids=str)
def test_an_offset_takes_nothing_from_the_resolution(tmp_path, filters):
    wave = 20 * np.sin(2 * np.pi * 10 * np.arange(60 * RATE) / RATE)
    raw = mne.io.RawArray((wave + 300_000)[None] * 1e-6, mne.create_info(["Cz"], RATE, "eeg"), verbose="error")
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    build.begin(tmp_path / "a_raw.fif", ReadingOptions(), tmp_path / "traces")
    while build.advance(1) < 1:
        pass
    header, found = decode(
        render(Pyramid(tmp_path / "traces"), Request(30, 10, 1200, filters=DisplayFilters(**filters)))
    )
    part = found[0] - found[0].mean() - wave[30 * RATE : 40 * RATE]
    assert np.abs(part).max() < 0.1 and abs(found[0].mean()) < 0.5
    assert header["baseline"][0] == (0 if "highpass" in filters else pytest.approx(300_000, abs=20))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"start": -1.0}, "start=-1"), ({"seconds": 0.0}, "seconds=0"), ({"columns": 0}, "columns=0"),
        ({"columns": 8001}, "1 to 8000"), ({"start": float("nan")}, "start=nan"), ({"start": 90.0}, "after the end"),
    ],
)  # fmt: skip
def test_pages_that_there_are_not(recording, values, said):
    with pytest.raises(ConfigError, match=said):
        render(recording[0], Request(**{"start": 0.0, "seconds": 10.0, "columns": 100} | values))


def test_a_page_longer_than_any_recording_is_all_of_it(recording):
    whole, longer = (render(recording[0], Request(0.0, seconds, 100)) for seconds in (1e6, 1e308))
    assert longer == whole


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"highpass": -1}, "highpass=-1"),
        ({"notch": 5e-324}, "at least 0.0001 Hz"),
        ({"highpass": 5, "lowpass": 5}, "not above"),
        ({"highpass": 100}, "100 Hz"),
    ],
)
def test_filters_that_there_are_not(values, said):
    with pytest.raises(ConfigError, match=said):
        DisplayFilters(**values).sections(RATE)


def get(client, path, **query):
    """Ask until the traces are ready."""
    for _ in range(200):
        found = client.get(path, params=query)
        if found.status_code != 202:
            return found
        assert found.json()["ready"] is False and 0 <= found.json()["progress"] <= 1
        time.sleep(0.05)
    raise AssertionError("the traces did not become ready")


def test_the_routes(client, eeg_folder):
    anna = f"/api/v1/recordings/{client.get('/api/v1/recordings').json()[0]['id']}"
    view = get(client, f"{anna}/view").json()
    assert view["ready"] and view["seconds"] == 30 and not view["sleep"]
    assert [channel["name"] for channel in view["channels"]] == ["C3", "O1", "C4", "FZ"]
    assert [one["id"] for one in view["montages"]] == ["recorded", "average"]
    page = get(client, f"{anna}/traces", start=2, seconds=10, columns=2000, highpass=0.5, lowpass=70, notch=50)
    assert page.headers["cache-control"] == "private, max-age=3600"
    assert page.headers["content-type"] == "application/octet-stream"
    header, values = decode(page.content)
    edf = {signal.label: signal.data for signal in edfio.read_edf(eeg_folder / "anna.edf").signals}
    rate = round(view["rate"])
    expected = whole(edf["EEG C3"][None], highpass=0.5, lowpass=70, notch=50, rate=rate)[0, 2 * rate : 12 * rate]
    assert header["channels"] == ["C3", "O1", "C4", "FZ"] and values.shape[1] == 10 * rate
    assert np.abs(values[0] - expected)[rate:].max() < 2e-3 * np.ptp(edf["EEG C3"])
    assert decode(get(client, f"{anna}/overview", columns=100).content)[1].shape == (1, 100, 2)


@pytest.mark.parametrize(
    "query", [{"start": 31}, {"start": -1}, {"seconds": 0}, {"columns": 9000}, {"montage": "X1-X2"}, {"bad": "X1"},
              {"highpass": 50, "lowpass": 5}, {"start": "nan"}, {"seconds": "inf"}],
)  # fmt: skip
def test_bad_parameters_are_422_as_json(client, query):
    anna = f"/api/v1/recordings/{client.get('/api/v1/recordings').json()[0]['id']}"
    found = get(client, f"{anna}/traces", **query)
    assert found.status_code == 422 and found.json()["error"]["message"]
