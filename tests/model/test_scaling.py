"""Features are standardised by the statistics of training data, before the language model reads them."""

from dataclasses import replace

import torch

from neurolm.batches.loader import build_patches
from neurolm.checkpoint import load_neurolm
from neurolm.model.neurolm import NeuroLM
from neurolm.model.scaling import SMALLEST, FeatureScaling
from neurolm.train.run import open_run
from neurolm.train.shared import FITTED, spread_samples


def test_features_are_standardised_one_by_one():
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(6) + 100
    scaling = FeatureScaling(6, 0.1)
    scaling.fit(x)
    out = scaling(x.view(5, 100, 6)).view(500, 6)
    torch.testing.assert_close(out.mean(0), torch.zeros(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std(0)[1:], torch.full((5,), 0.1), atol=1e-4, rtol=0)
    assert scaling.deviation[0] == SMALLEST and out[:, 0].abs().max() == 0  # a constant feature stays finite


def test_a_run_takes_them_from_its_training_people(micro_run):
    module, _, _ = load_neurolm(micro_run.folder / "instruct", stage="instruct")
    run = open_run(micro_run.folder, config=micro_run.config, store=micro_run.store, device="cpu")
    features = []
    for sample in spread_samples(run, run.config.pretrain, run.training_subjects, FITTED):
        patches, _ = build_patches([sample])
        features.append(module.features(patches)[0])
    found = module.scaling(torch.cat(features))
    torch.testing.assert_close(found.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0), torch.full((16,), 0.1), atol=1e-4, rtol=0)


def test_without_it_features_are_read_as_they_are(config):
    assert not config.feature_scale
    torch.manual_seed(0)
    plain, scaled = NeuroLM(config), NeuroLM(replace(config, feature_scale=1.0))
    assert isinstance(plain.scaling, torch.nn.Identity)
    assert set(scaled.state_dict()) - set(plain.state_dict()) == {"scaling.mean", "scaling.deviation"}
