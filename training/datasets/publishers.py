"""Published paired data sets, each in its publisher's layout.

Every layout takes the folder that the publisher's archive unpacks to. If a folder is missing, the error names it and
the source of the data; the sets belong to their authors, are for research, and do not come with Nightlift.
"""

from __future__ import annotations

from pathlib import Path

from training.datasets._samples import Sample, list_pictures, paired_samples, register_layout

LOLV2_SOURCE = (
    "LOL-v2 is published by Yang et al. (IEEE TIP 2021, 'Sparse Gradient Regularized Deep Retinex Network')"
)
LSRW_SOURCE = "LSRW is published by Hai et al. (JVCIR 2023, 'R2RNet') with the R2RNet repository"
RELLISUR_SOURCE = "RELLISUR is published by Aakerberg et al. (NeurIPS 2021 Datasets and Benchmarks) on Zenodo"
DRBN_SOURCE = (
    "these folders are published by Yang et al. (CVPR 2020, 'From Fidelity to Perceptual Quality') with DRBN"
)
DRGN_SOURCE = "these test sets are named by Jiang et al. (AAAI 2022, 'Degrade is Upgrade'); ask its authors for them"


@register_layout("lolv2_real")
def lolv2_real(root: Path, split: str) -> list[Sample]:
    """LOL-v2's photographs: `Real_captured/{Train,Test}/{Low,Normal}`, `low00001.png` beside `normal00001.png`.

    The folder may be LOL-v2's or `Real_captured` itself.
    """
    part = _inside(root, "Real_captured") / _split(split, "Train", "Test")
    return _pairs(part / "Low", part / "Normal", LOLV2_SOURCE, ("low", "normal"))


@register_layout("lolv2_synthetic")
def lolv2_synthetic(root: Path, split: str) -> list[Sample]:
    """LOL-v2's synthetic pairs: `Synthetic/{Train,Test}/{Low,Normal}` with equal names; or `Synthetic` itself."""
    part = _inside(root, "Synthetic") / _split(split, "Train", "Test")
    return _pairs(part / "Low", part / "Normal", LOLV2_SOURCE)


@register_layout("lsrw")
def lsrw(root: Path, split: str) -> list[Sample]:
    """LSRW, both cameras: `Training data/{Huawei,Nikon}/{low,high}` and `Eval/{Huawei,Nikon}/{low,high}`."""
    return lsrw_huawei(root, split) + lsrw_nikon(root, split)


@register_layout("lsrw_huawei")
def lsrw_huawei(root: Path, split: str) -> list[Sample]:
    """The part of LSRW taken with a phone."""
    return _lsrw_camera(root, split, "Huawei")


@register_layout("lsrw_nikon")
def lsrw_nikon(root: Path, split: str) -> list[Sample]:
    """The part of LSRW taken with a system camera."""
    return _lsrw_camera(root, split, "Nikon")


@register_layout("rellisur")
def rellisur(root: Path, split: str) -> list[Sample]:
    """RELLISUR at one resolution: `{Train,Val,Test}/LLLR` against `NLHR/X1`; or the folder `RELLISUR-Dataset` above.

    Several dark pictures, `00012-2.5.png` and so on, share the reference `00012.png`: they are one scene.
    """
    base = root / "RELLISUR-Dataset" if (root / "RELLISUR-Dataset").is_dir() else root
    part = base / {"train": "Train", "val": "Val", "test": "Test"}.get(split, split)
    low, high = part / "LLLR", part / "NLHR" / "X1"
    _require(RELLISUR_SOURCE, low, high)
    scenes = {stem: _rellisur_scene(stem) for stem in list_pictures(low)}
    return paired_samples(low, high, scenes, rename=_rellisur_scene)


@register_layout("drbn")
def drbn(root: Path, split: str) -> list[Sample]:
    """DRBN's pairs: `Our_low` and `Our_normal`, or `Our_low_test` and `Our_normal_test`, named as LOL-v2's."""
    suffix = _split(split, "", "_test")
    return _pairs(root / f"Our_low{suffix}", root / f"Our_normal{suffix}", DRBN_SOURCE, ("low", "normal"))


@register_layout("drbn_degraded")
def drbn_degraded(root: Path, split: str) -> list[Sample]:
    """DRBN's pairs of its other branch, `Low_degraded` and `Normal`, equal names."""
    return _pairs(root / "Low_degraded", root / "Normal", DRBN_SOURCE)


@register_layout("drbn_real_low")
def drbn_real_low(root: Path, split: str) -> list[Sample]:
    """DRBN's dark photographs without reference, `Low_real_test_2_rs`, field `image`."""
    return _unpaired(root / "Low_real_test_2_rs", DRBN_SOURCE)


@register_layout("drbn_liked")
def drbn_liked(root: Path, split: str) -> list[Sample]:
    """DRBN's photographs that people liked, `AVA_good_2`, field `image`."""
    return _unpaired(root / "AVA_good_2", f"{DRBN_SOURCE}; the photographs come from AVA (Murray et al., CVPR 2012)")


@register_layout("lol1000")
def lol1000(root: Path, split: str) -> list[Sample]:
    """DRGN's LOL1000: `LOL1000/{input,target}`, equal names, for training and test alike."""
    return _drgn_set(root, "LOL1000")


@register_layout("test148")
def test148(root: Path, split: str) -> list[Sample]:
    """DRGN's TEST148: `TEST148/{input,target}`, equal names."""
    return _drgn_set(root, "TEST148")


@register_layout("voc144")
def voc144(root: Path, split: str) -> list[Sample]:
    """DRGN's VOC144: `VOC144/{input,target}`, equal names."""
    return _drgn_set(root, "VOC144")


def _lsrw_camera(root: Path, split: str, camera: str) -> list[Sample]:
    part = root / _split(split, "Training data", "Eval") / camera
    samples = _pairs(part / "low", part / "high", LSRW_SOURCE)
    # The cameras number their pictures alike, but saw different scenes.
    return [Sample(f"{camera}_{s.name}", s.files, f"{camera}_{s.scene}") for s in samples]


def _drgn_set(root: Path, name: str) -> list[Sample]:
    base = _inside(root, name)
    return _pairs(base / "input", base / "target", DRGN_SOURCE)


def _rellisur_scene(stem: str) -> str:
    return stem.split("-")[0]


def _pairs(low: Path, high: Path, source: str, prefixes: tuple[str, str] | None = None) -> list[Sample]:
    """Pairs with equal stems, or with stems that differ in a prefix."""
    _require(source, low, high)
    if prefixes is None:
        return paired_samples(low, high)
    dark, bright = prefixes
    return paired_samples(low, high, rename=lambda stem: bright + stem.removeprefix(dark))


def _unpaired(folder: Path, source: str) -> list[Sample]:
    _require(source, folder)
    return [Sample(stem, {"image": path}, stem) for stem, path in list_pictures(folder).items()]


def _inside(root: Path, name: str) -> Path:
    """The folder of this name inside `root`, unless `root` is that folder."""
    return root if root.name == name else root / name


def _split(split: str, train: str, test: str) -> str:
    parts = {"train": train, "test": test}
    if split not in parts:
        raise ValueError(f"there is no split {split!r}; choose train or test")
    return parts[split]


def _require(source: str, *folders: Path) -> None:
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}; {source}")
