"""Reference values of metrics, for src/measure/metrics/metrics.test.ts.

    pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
    python scripts/reference/metrics.py > test/reference/metrics.json
"""

import json

import numpy
import scipy
import sklearn
from scipy.special import softmax
from scipy.stats import bootstrap, entropy
from sklearn import metrics

random = numpy.random.default_rng(7)


def rounded(array, digits=6):
    """Float32 values that survive JSON."""
    return numpy.round(numpy.asarray(array, dtype=numpy.float64), digits).astype(numpy.float32)


def as_list(array):
    return [float(value) for value in numpy.asarray(array).ravel()]


samples, classes = 60, 5
labels = random.integers(0, classes, samples)
scores = rounded(random.normal(size=(samples, classes)) + 1.5 * numpy.eye(classes)[labels])
others = rounded(scores + 0.4 * random.normal(size=(samples, classes)))
answers = scores.argmax(1)
binary_labels = random.integers(0, 2, samples)
binary_scores = rounded(numpy.clip(0.5 + 0.3 * (2 * binary_labels - 1) + 0.4 * random.normal(size=samples), 0, 1))
several_labels = random.integers(0, 2, (samples, classes))
several_scores = rounded(numpy.clip(several_labels * 0.4 + random.random((samples, classes)) * 0.6, 0, 1))
map_labels = random.integers(0, 4, (6, 8, 9))
map_answers = numpy.where(random.random(map_labels.shape) < 0.7, map_labels, random.integers(0, 4, map_labels.shape))
quantities = rounded(random.normal(size=(20, 3)))
estimates = rounded(quantities + 0.1 * random.normal(size=(20, 3)))

# The intervals: of the difference of accuracies and of F1, paired, percentiles.
right = (answers == labels).astype(float)
other_answers = others.argmax(1)
other_right = (other_answers == labels).astype(float)


def accuracy_difference(a, b, axis=-1):
    return numpy.mean(b, axis=axis) - numpy.mean(a, axis=axis)


def f1_difference(label, a, b):
    return metrics.f1_score(label, b, average="macro", zero_division=0) - metrics.f1_score(
        label, a, average="macro", zero_division=0
    )


def interval(data, statistic, resamples, vectorized):
    result = bootstrap(
        data, statistic, n_resamples=resamples, paired=True, method="percentile", vectorized=vectorized, random_state=1
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


print(
    json.dumps(
        {
            "versions": {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": numpy.__version__},
            "classification": {
                "classes": classes,
                "labels": labels.tolist(),
                "scores": as_list(scores),
                "others": as_list(others),
                "top1": metrics.accuracy_score(labels, answers),
                "top2": metrics.top_k_accuracy_score(labels, scores, k=2),
                "f1Macro": metrics.f1_score(labels, answers, average="macro", zero_division=0),
                "f1Micro": metrics.f1_score(labels, answers, average="micro", zero_division=0),
                "agreement": metrics.accuracy_score(answers, other_answers),
                "kl": float(numpy.mean(entropy(softmax(scores.astype(float), 1), softmax(others.astype(float), 1), axis=1))),
                "accuracyInterval": interval((right, other_right), accuracy_difference, 20000, True),
                "f1Interval": interval((labels, answers, other_answers), f1_difference, 2000, False),
            },
            "binary": {
                "labels": binary_labels.tolist(),
                "scores": as_list(binary_scores),
                "f1": metrics.f1_score(binary_labels, binary_scores >= 0.5),
                "accuracy": metrics.accuracy_score(binary_labels, binary_scores >= 0.5),
            },
            "several": {
                "labels": several_labels.ravel().tolist(),
                "scores": as_list(several_scores),
                "f1Macro": metrics.f1_score(several_labels, several_scores >= 0.5, average="macro", zero_division=0),
                "f1Micro": metrics.f1_score(several_labels, several_scores >= 0.5, average="micro", zero_division=0),
            },
            "maps": {
                "dims": list(map_labels.shape),
                "labels": map_labels.ravel().tolist(),
                "answers": map_answers.ravel().tolist(),
                "meanIou": metrics.jaccard_score(map_labels.ravel(), map_answers.ravel(), average="macro"),
                "dice": metrics.f1_score(map_labels.ravel(), map_answers.ravel(), average="macro"),
                "binaryIou": metrics.jaccard_score(map_labels.ravel() > 1, map_answers.ravel() > 1),
                "binaryDice": metrics.f1_score(map_labels.ravel() > 1, map_answers.ravel() > 1),
            },
            "regression": {
                "dims": list(quantities.shape),
                "labels": as_list(quantities),
                "answers": as_list(estimates),
                "mse": metrics.mean_squared_error(quantities.astype(float), estimates.astype(float)),
                "mae": metrics.mean_absolute_error(quantities.astype(float), estimates.astype(float)),
                "cosine": float(
                    metrics.pairwise.cosine_similarity(
                        quantities.astype(float).reshape(1, -1), estimates.astype(float).reshape(1, -1)
                    )[0, 0]
                ),
            },
        },
        indent=1,
    )
)
