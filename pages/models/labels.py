"""Words for what ``config.json``, ``metrics.json`` and ``history.json`` call by their keys.

A path is the keys that lead to a value, with points between. Its label is the word of its last key; the
part that it belongs to is that of the longest beginning of the path which is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pages.shared.text import N_, _, number, scientific

PARTS = {
    "": N_("model"),
    "architecture": N_("network"),
    "architecture.unet": N_("U-Net"),
    "architecture.schedule": N_("noise schedule"),
    "preprocessing": N_("pictures"),
    "data": N_("data"),
    "training": N_("training"),
    "training.augmentation": N_("augmentation"),
    "training.views": N_("views"),
    "training.harder": N_("harder views"),
    "training.protocol": N_("measured after each epoch"),
    "test": N_("on test pictures"),
    "before": N_("before training"),
    "samples": N_("samples, by their pixels"),
    "schedule": N_("noise schedule"),
    "timing": N_("time"),
    "judged.samples": N_("samples, by the digit classifier"),
    "judged.t_star": N_("t*"),
    "judged.t_star.digit": N_("t* by the digit"),
    "judged.t_star.psnr": N_("t* by PSNR"),
    "judged.t_star.ssim": N_("t* by SSIM"),
    "judged.t_star.features": N_("t* by features"),
    "judged.purification": N_("undoing an attack"),
    "way": N_("denoising on the home page"),
    "digitless.wiped": N_("without a digit: wiped"),
    "digitless.scrambled": N_("without a digit: scrambled"),
    "digitless.clouds": N_("without a digit: clouds of colour"),
    "features": N_("features"),
    "importance_weighted": N_("importance-weighted bound"),
    "linear_model": N_("linear model"),
    "readouts": N_("the digit, read from z"),
    "layer_probe": N_("the digit, read from the layers"),
    "layer_probe.accuracy": N_("accuracy by layer, one number a level"),
}

WORDS = {
    "family": N_("family"),
    "parts": N_("parts that a layer is averaged over, each way"),
    "penalty": N_("penalty on the weights"),
    "architecture": N_("kind"),
    "method": N_("method"),
    "channels": N_("channels"),
    "blocks": N_("residual blocks per level"),
    "latent_dim": N_("units of z"),
    "time_width": N_("numbers that code t"),
    "attention": N_("attention per level"),
    "kind": N_("kind"),
    "T": "T",
    "beta_start": N_("first β"),
    "beta_end": N_("last β"),
    "prediction": N_("what the network predicts"),
    "width": N_("channels of the first stage"),
    "stem": N_("first layer"),
    "hidden": N_("hidden units of the projector"),
    "dim": N_("d, numbers in z"),
    "predictor_hidden": N_("hidden units of the predictor"),
    "redundancy": N_("weight of the off-diagonal"),
    "stop_gradient": N_("stop-gradient"),
    "predictor": N_("predictor"),
    "momentum": N_("momentum"),
    "invariance": N_("weight of the invariance term"),
    "variance": N_("weight of the variance term"),
    "covariance": N_("weight of the covariance term"),
    "size": N_("pixels across"),
    "range": N_("range of the values"),
    "name": N_("data set"),
    "split": N_("training pictures from"),
    "pictures": N_("how many pictures"),
    "test_split": N_("test pictures from"),
    "test_pictures": N_("how many test pictures"),
    "train_pictures": N_("how many training pictures"),
    "note": N_("which pictures"),
    "epochs": N_("epochs"),
    "epochs_done": N_("epochs done"),
    "batch_size": N_("batch"),
    "learning_rate": N_("learning rate"),
    "betas": N_("β₁, β₂ of Adam"),
    "weight_decay": N_("weight decay"),
    "warmup_steps": N_("updates of warm-up"),
    "cosine": N_("rate falls by a cosine"),
    "average_decay": N_("decay of the weights' moving average"),
    "clip_norm": N_("largest norm of the gradient"),
    "weighting": N_("weight of the noise levels"),
    "label_smoothing": N_("label smoothing"),
    "mixup": N_("mixup"),
    "digitless": N_("share of pictures without their digit"),
    "compile": N_("network compiled"),
    "record": N_("figures recorded at every epoch"),
    "seed": N_("seed"),
    "selection": N_("how pictures are chosen"),
    "mixed": N_("pictures of a folder in mixed order"),
    "updates_per_epoch": N_("updates per epoch (0: all pictures)"),
    "lengthened": N_("lengthened after epochs"),
    "device": N_("device"),
    "recipe": N_("recipe"),
    "heavy": N_("heavy augmentation"),
    "weights_kept": N_("weights kept"),
    "code_version": N_("version of the code"),
    "shift": N_("shift"),
    "scale": N_("scale"),
    "rotation": N_("rotation (degrees)"),
    "shear": N_("shear"),
    "contrast": N_("contrast"),
    "brightness": N_("brightness"),
    "tint": N_("tint"),
    "invert": N_("inverted: how often"),
    "permute": N_("colour channels swapped: how often"),
    "pixels": N_("pixels"),
    "crop": N_("smallest crop"),
    "ratio": N_("most extreme aspect ratio"),
    "flip": N_("mirrored: how often"),
    "jitter": N_("colour jitter: how often"),
    "saturation": N_("saturation"),
    "hue": N_("hue"),
    "grey": N_("grey: how often"),
    "solarize": N_("solarised: how often"),
    "jigsaw": N_("jigsaw: how often"),
    "cutout": N_("a hole: how often"),
    "spread": N_("pictures for the spread"),
    "queries": N_("pictures asked"),
    "bank": N_("pictures in the bank"),
    "k": N_("neighbours asked, k"),
    "temperature": N_("temperature"),
    "levels": N_("noise levels"),
    "loss": N_("smooth L1 loss"),
    "eps_mse": N_("squared error of the noise"),
    "draws": N_("draws per picture"),
    "nll": N_("nll (nats)"),
    "kl": N_("KL (nats)"),
    "negative_elbo": N_("negative ELBO (nats)"),
    "nll_constant": N_("constant in the nll (nats)"),
    "bits_per_dimension": N_("bits per dimension"),
    "mse": N_("squared error"),
    "mse_of_mode": N_("squared error of the mode"),
    "active_units": N_("active units"),
    "components": N_("components"),
    "nll_before_rounding": N_("nll before rounding (nats)"),
    "most_common": N_("always the most common digit"),
    "linear": N_("linear classifier on z"),
    "products": N_("linear classifier on z and its products"),
    "neighbours": N_("nearest neighbours in z"),
    "samples": N_("samples"),
    "steps": N_("steps"),
    "frechet_pixel_components": N_("Frechet distance, pixels"),
    "frechet_real_against_real": N_("Frechet distance of real pictures"),
    "sharpness": N_("sharpness"),
    "sharpness_of_test_pictures": N_("sharpness of test pictures"),
    "sharpness_of_test": N_("sharpness of test pictures"),
    "alpha_bar_end": N_("ᾱ at the end"),
    "log_snr_end": N_("log SNR at the end"),
    "seconds_a_step": N_("seconds per step and picture"),
    "seconds_a_picture_all_steps": N_("seconds per picture, all steps"),
    "seconds_a_picture_50_steps": N_("seconds per picture, 50 steps"),
    "seconds_an_epoch": N_("seconds per epoch, without tests"),
    "judge": N_("digit classifier"),
    "sure": N_("share it is sure of"),
    "sure_of_test": N_("share of test digits it is sure of"),
    "diversity": N_("diversity"),
    "frechet": N_("Frechet distance, features"),
    "nearest_training": N_("distance to the nearest training picture"),
    "nearest_training_of_test": N_("the same for test pictures"),
    "threshold": N_("threshold"),
    "quartiles": N_("quartiles"),
    "below": N_("share below the levels tried"),
    "above": N_("share above the levels tried"),
    "grey_levels": N_("grey levels of the attack"),
    "pgd_steps": N_("steps of PGD"),
    "accuracy_clean": N_("accuracy, no attack"),
    "accuracy_fgsm": N_("accuracy after FGSM"),
    "accuracy_pgd": N_("accuracy after PGD"),
    "best_purified_clean": N_("best after denoising, no attack"),
    "best_purified_fgsm": N_("best after denoising, FGSM"),
    "best_purified_pgd": N_("best after denoising, PGD"),
    "sampler": N_("sampler"),
    "t": "t",
    "of": N_("seeds tried"),
    "seeds": N_("seeds"),
    "digit": N_("digit"),
    "confidence": N_("how sure the classifier is"),
    "accuracy": N_("accuracy"),
    "cross_entropy": N_("cross-entropy"),
    "calibration_error": N_("calibration error"),
    "calibration_error_uncalibrated": N_("calibration error before the temperature"),
    "accuracy_of_sure": N_("accuracy where it is sure"),
    "most_read": N_("digit it reads most"),
    "share_of_most_read": N_("share of that digit"),
    "dimension": N_("how many features"),
    "mean_distance": N_("mean distance of two test digits"),
    "median_distance_other_digit": N_("median distance of two different digits"),
    "frechet_halves_of_test": N_("Frechet distance of two halves of the test digits"),
    "frechet_training_against_test": N_("Frechet distance of training to test digits"),
    "frechet_training_pictures": N_("training pictures in that distance"),
    "knn_accuracy": N_("kNN accuracy"),
    "linear_accuracy": N_("linear probe"),
    "linear_train_accuracy": N_("linear probe on training pictures"),
    "alignment": N_("alignment"),
    "uniformity": N_("uniformity"),
    "std_z": N_("std of z"),
    "std_h": N_("std of h"),
    "rank_z": N_("effective rank of z"),
    "rank_h": N_("effective rank of h"),
    "variance_z": N_("total variance of z"),
    "variance_h": N_("total variance of h"),
    "objective": N_("objective"),
    "updates": N_("updates"),
    "seconds": N_("seconds"),
    "seconds_train": N_("seconds of training alone"),
    "seconds_total": N_("seconds since the start"),
    "loss_1": N_("loss, first quarter of t"),
    "loss_2": N_("loss, second quarter of t"),
    "loss_3": N_("loss, third quarter of t"),
    "loss_4": N_("loss, last quarter of t"),
}

PHASES = {"train": N_("{figure}, training"), "test": N_("{figure}, test")}

VALUES = {
    "True": N_("yes"),
    "False": N_("no"),
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "vae": "VAE",
    "ddpm": "DDPM",
    "simsiam": "SimSiam",
    "judge": N_("digit classifier"),
    "byol": "BYOL",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "ddim": "DDIM",
    "linear": N_("linear"),
    "cosine": N_("cosine"),
    "residual": N_("residual"),
    "unshuffle": N_("pixel-unshuffle"),
    "uniform": N_("uniform"),
    "small": N_("small"),
    "strided": N_("strided"),
    "fixed": N_("fixed"),
    "extended": N_("training and further test digits"),
    "jittered": N_("jittered crops"),
    "train": N_("training set"),
    "test": N_("test set"),
    "shares": N_("equal shares of the classes"),
    "first": N_("the first"),
    "baseline": N_("baseline"),
}

LONGEST, LONGEST_TEXT = 12, 100
"""Values of a list, characters of a text, that are shown in a table."""

LEFT_OUT = (
    "format",
    "data.fingerprint",
    "data.test_fingerprint",
    "data.class_names",
    "training.data",
    "training.split",
    "training.test_split",
    "training.data_note",
    "training.folder",
    "protocol",
    "judged.protocol",
)
"""Said elsewhere, or of use to programs alone."""


def part(path: str) -> str:
    """The part of the model that a value belongs to."""
    keys = path.split(".")[:-1]
    while keys and ".".join(keys) not in PARTS:
        keys.pop()
    return _(PARTS[".".join(keys)])


def word(path: str) -> str:
    """What a value is called; of no known name, its key with spaces."""
    key = path.rpartition(".")[2]
    for phase, said in PHASES.items():
        figure = key.removeprefix(f"{phase}_")
        if figure != key and key not in WORDS and figure in WORDS:
            return _(said).format(figure=_(WORDS[figure]))
    return _(WORDS[key]) if key in WORDS else key.replace("_", " ")


Value = bool | float | str | list[bool | float | str]


def numbers(value: object, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Every number, short text and short list of a nested JSON value, with the path to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers(item, f"{prefix}{key}.")
        return
    path = prefix.rstrip(".")
    if isinstance(value, list):
        plain = not any(isinstance(item, Mapping | list) for item in value)
        if plain and 0 < len(value) <= LONGEST:
            yield path, value
    elif isinstance(value, bool | int | float) or (
        isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT
    ):
        yield path, value


def readable_values(value: object) -> dict[str, Value]:
    """The values of a nested JSON object that a visitor may want to read, by path."""
    return {path: found for path, found in numbers(value) if path not in LEFT_OUT}


def value_in_words(value: Value | None) -> str:
    """A value in the visitor's language; a number in about five digits."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(value_in_words, value))
    if isinstance(value, str | bool):
        return _(VALUES[str(value)]) if str(value) in VALUES else str(value)
    if isinstance(value, int):
        return number(value, 0)
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return number(value, 4)
    return scientific(value, 3)
