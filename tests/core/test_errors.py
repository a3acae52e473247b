"""Arguments in messages: as Python spells them, or as flags where a verb of the command runs, and in its workers."""

import multiprocessing

import pytest

from neurolm.core.errors import argument, flags_in_messages, takes


@pytest.mark.parametrize(
    ("given", "in_python", "in_command"),
    [
        ({"unit": "mV"}, "unit='mV'", "--unit mV"),
        ({"subjects": 0}, "subjects=0", "--subjects 0"),
        ({"start": 3.0, "stop": 4.5}, "start=3, stop=4.5", "--start 3, --stop 4.5"),
        ({"options": ["yes"]}, "options=['yes']", "--options yes"),
        ({"channels": {"A1": "Fp1"}}, "channels={'A1': 'Fp1', …}", "--channels 'A1=Fp1,…'"),
    ],
)
def test_arguments_are_spelled_as_they_can_be_given(given, in_python, in_command):
    assert argument(**given) == in_python
    with flags_in_messages(given):
        assert argument(**given) == in_command
    assert argument(**given) == in_python


def test_an_argument_without_a_value_is_named():
    assert argument("channels") == "channels="
    with flags_in_messages(["channels"]):
        assert argument("channels") == "--channels"


def test_what_a_verb_does_not_take_is_not_to_be_advised():
    assert takes("channels")
    with flags_in_messages(["unit", "unknown"]):
        assert takes("unit") and not takes("channels") and not takes("un")
        with flags_in_messages([]):
            assert not takes("unit")
        assert takes("unit")


def test_flags_of_another_verb_are_said_to_be_its():
    with flags_in_messages(["jobs"]):
        assert argument(truncated="accept") == "--truncated accept (of neurolm prepare)"
        assert argument("channels") == "--channels (of neurolm prepare)"
        assert argument(jobs=1) == "--jobs 1"


def test_workers_spell_as_the_process_that_started_them():
    with flags_in_messages(["unit"]), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(argument, ("unit",)) == "--unit"
