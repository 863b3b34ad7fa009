"""Compares the figures of an evaluation with scikit-learn, statsmodels, scipy, numpy, torchmetrics and cleanlab.

    cargo test --test metrics_reference -- --ignored --nocapture

installs them from PyPI and runs this twice: `ask` prints problems as JSON, `check ANSWERS` compares the answers to them.

There are 200 random single-label and 200 multi-label problems (empty classes, one class, ties, few or no rows, gold
labels that the head does not have, certain rows), each with random weights. Weighted figures are compared with the
reference on rows that are copied as often as they count. Prints the largest deviation of each figure and exits with 1
if one is above 1e-9.
"""

import json
import math
import sys
import warnings
from collections import defaultdict
from fractions import Fraction

import numpy as np
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
TOLERANCE = 1e-9
BINS = 15
worst = defaultdict(lambda: [0.0, 0, ""])


def compare(name, reference, found, expected):
    """A figure that is undefined is null in JSON and NaN or None here; both must agree on it."""
    entry = worst[name]
    entry[1] += 1
    entry[2] = reference
    undefined = expected is None or math.isnan(expected)
    if found is None or undefined:
        deviation = 0.0 if found is None and undefined else math.inf
    else:
        deviation = abs(found - expected)
    if deviation > TOLERANCE and entry[0] <= TOLERANCE:
        print(f"{name}: {found} is not {expected}")
    entry[0] = max(entry[0], deviation)


def single_problem(rng, case):
    """Every tenth problem or so has one of the edge cases."""
    num_labels = int(rng.integers(1, 9))
    rows = int(rng.choice([0, 1, 2, 3, 5, 8, 20, 60, 300])) if case % 4 == 0 else int(rng.integers(20, 400))
    gold = rng.integers(0, num_labels, rows)
    if case % 5 == 1:
        gold[:] = rng.integers(0, num_labels)
    if case % 5 == 2 and num_labels > 1:
        gold[gold == 0] = 1
    if case % 3 == 1:
        unknown = rng.random(rows) < 0.1
        gold[unknown] = num_labels + rng.integers(0, 3, unknown.sum()) * 2
    odds = rng.exponential(1, (rows, num_labels)) ** rng.uniform(0.5, 4)
    known = gold < num_labels
    odds[np.flatnonzero(known), gold[known]] *= rng.uniform(1, 20)
    if case % 4 == 3:
        odds = np.round(odds)
        odds[odds.sum(axis=1) == 0] = 1
    p = odds / odds.sum(axis=1, keepdims=True) if rows else odds
    if case % 6 == 5:
        p = p.astype(np.float32).astype(np.float64)
    decided = p.argmax(axis=1) if rows else np.zeros(0, int)
    if case % 3 == 2:
        other = rng.random(rows) < 0.1
        decided[other] = rng.integers(0, num_labels, other.sum())
    weights = rng.poisson(1, rows) if case % 2 else np.ones(rows, int)
    return dict(kind="single", num_labels=num_labels, gold=gold, probabilities=p, decided=decided, weights=weights,
                seed=case)


def multi_problem(rng, case):
    num_labels = int(rng.integers(1, 7))
    rows = int(rng.choice([0, 1, 2, 3, 10])) if case % 5 == 0 else int(rng.integers(5, 200))
    p = rng.random((rows, num_labels))
    if case % 3 == 0:
        p = np.round(p * 5) / 5
    gold = rng.random((rows, num_labels)) < p * rng.uniform(0, 1)
    if case % 4 == 1:
        gold[:, 0] = False
    decided = p >= 0.5
    unknown = rng.random(rows) < (0.1 if case % 3 == 1 else 0)
    weights = rng.poisson(1, rows) if case % 2 else np.ones(rows, int)
    return dict(kind="multi", num_labels=num_labels, gold=gold, unknown=unknown, probabilities=p, decided=decided,
                weights=weights)


def to_json(problem):
    out = {}
    for name, value in problem.items():
        out[name] = value.tolist() if isinstance(value, np.ndarray) else value
    out["probabilities"] = problem["probabilities"].ravel().tolist()
    if problem["kind"] == "multi":
        labels = problem["num_labels"]
        out["gold"] = [np.flatnonzero(row).tolist() + [labels] * bool(unknown)
                       for row, unknown in zip(problem["gold"], problem["unknown"])]
        out["decided"] = [np.flatnonzero(row).tolist() for row in problem["decided"]]
        del out["unknown"]
    return out


def check_classification(found, L, gold, p, decided):
    n = len(gold)
    ref = "scikit-learn"
    compare("accuracy", ref, found["accuracy"], np.mean(gold == decided) if n == 0 else sk.accuracy_score(gold, decided))
    for average in ("macro", "micro", "weighted"):
        value = sk.f1_score(gold, decided, average=average, zero_division=0) if n else 0.0
        compare(f"{average}_f1", ref, found[f"{average}_f1"], value)
    compare("matthews_correlation", ref, found["matthews_correlation"], sk.matthews_corrcoef(gold, decided) if n else 0.0)
    labels = [label["label"] for label in found["labels"]]
    of_labels = sk.precision_recall_fscore_support(gold, decided, labels=labels, zero_division=0) if n else (
        np.zeros((4, len(labels))))
    for label, precision, recall, f1, support in zip(found["labels"], *of_labels):
        compare("label precision", ref, label["precision"], precision)
        compare("label recall", ref, label["recall"], recall)
        compare("label f1", ref, label["f1"], f1)
        compare("label support", ref, label["support"], support)
        compare("label predicted", "numpy", label["predicted"], np.sum(decided == label["label"]))


def top_k(L, gold, p, k):
    """scikit-learn takes the higher of tied labels; mirrored labels make it the lower. Unknown gold labels are wrong."""
    if len(gold) == 0:
        return math.nan
    # What is impossible is no answer.
    known = np.array([label < L and row[label] > 0 for label, row in zip(gold, p)])
    if not known.any():
        return 0.0
    if k >= L:
        return known.mean()
    if L == 2:
        score = (p[known].argmax(axis=1) == gold[known]).mean()
    else:
        mirrored = L - 1 - gold[known]
        score = sk.top_k_accuracy_score(mirrored, p[known][:, ::-1], k=k, labels=np.arange(L))
    return score * known.mean()


def check_scoring(found, L, gold, p):
    n = len(gold)
    known = gold < L
    if n == 0:
        brier = loss = math.nan
        ref = "definition"
    elif known.all() and L > 1 and np.allclose(p.sum(axis=1), 1, atol=1e-6):
        ref = "scikit-learn"
        score_of = p if L > 2 else p[:, 1]
        brier = sk.brier_score_loss(gold, p, labels=np.arange(L), scale_by_half=False)
        loss = sk.log_loss(gold, p, labels=np.arange(L))
    else:
        ref = "definition"
        full = np.hstack([p, np.zeros((n, 1))])
        at = np.where(known, gold, L)
        truth = np.eye(L + 1)[at]
        brier = np.mean(((full - truth) ** 2).sum(axis=1))
        eps = np.finfo(float).eps
        loss = np.mean(-np.log(np.clip(full[np.arange(n), at], eps, 1 - eps)))
    compare(f"brier_score ({ref})", ref, found["brier_score"], brier)
    compare(f"log_loss ({ref})", ref, found["log_loss"], loss)


def binned(confidence, right, bin_of, n):
    return [(confidence[bin_of == b], right[bin_of == b]) for b in range(BINS) if n and (bin_of == b).any()]


def ece(bins, n):
    return sum(abs(c.mean() - r.mean()) * len(c) for c, r in bins) / n if n else math.nan


def check_calibration(answer, L, gold, p):
    found = answer["figures"]["calibration"]
    n = len(gold)
    confidence = p.max(axis=1) if n else np.zeros(0)
    right = ((p.argmax(axis=1) if n else gold) == gold).astype(float)
    edges = np.arange(1, BINS) / BINS
    width = binned(confidence, right, np.digitize(confidence, edges, right=True), n)
    compare("expected_calibration_error", "numpy.digitize", found["expected_calibration_error"], ece(width, n))
    # Bins of equal mass, by exact fractions: the edges are the inverted-CDF quantiles at m/15.
    ordered = np.sort(confidence)
    below = np.searchsorted(ordered, confidence, "left")
    mass = binned(confidence, right, np.array([int(Fraction(int(b), n) * BINS) for b in below]), n)
    compare("adaptive_calibration_error", "exact quantiles", found["adaptive_calibration_error"], ece(mass, n))
    if n and n % BINS == 0 and len(np.unique(confidence)) == n:
        chunks = [(confidence[rows], right[rows]) for rows in np.array_split(np.argsort(confidence), BINS)]
        compare("adaptive_calibration_error (array_split)", "numpy.array_split",
                found["adaptive_calibration_error"], ece(chunks, n))
    for name, bins in (("equal_width_bins", width), ("equal_mass_bins", mass)):
        compare(f"{name} count", "numpy", len(answer[name]), len(bins))
        for told, (c, r) in zip(answer[name], bins):
            compare(f"{name} rows", "numpy", told["rows"], len(c))
            compare(f"{name} mean_confidence", "numpy", told["mean_confidence"], c.mean())
            compare(f"{name} accuracy", "numpy", told["accuracy"], r.mean())
    if n == 0:
        return
    score = sk.brier_score_loss(right, confidence) if 0 < right.sum() < n else np.mean((confidence - right) ** 2)
    compare("top_label_brier_score", "scikit-learn", found["top_label_brier_score"], score)
    base = right.mean()
    parts = dict(
        reliability=sum(len(c) * (c.mean() - r.mean()) ** 2 for c, r in width) / n,
        resolution=sum(len(c) * (r.mean() - base) ** 2 for c, r in width) / n,
        uncertainty=base * (1 - base),
        within_bins=sum(np.sum((c - c.mean()) ** 2) - 2 * np.sum((c - c.mean()) * (r - r.mean())) for c, r in width) / n,
    )
    for name, value in parts.items():
        compare(name, "Stephenson et al. 2008", found[name], value)
    whole = found["reliability"] - found["resolution"] + found["uncertainty"] + found["within_bins"]
    compare("brier parts add up", "identity", whole, score)
    try:
        import torch
        from torchmetrics.functional.classification import binary_calibration_error
    except ImportError:
        return
    # torchmetrics closes bins below instead of above, and gives confidence 1 a bin of its own.
    if np.abs(confidence[:, None] - np.arange(BINS + 1) / BINS).min() > 1e-6:
        value = binary_calibration_error(torch.tensor(confidence), torch.tensor(right).long(), n_bins=BINS, norm="l1")
        compare("expected_calibration_error (torchmetrics)", "torchmetrics", found["expected_calibration_error"],
                float(value))


def check_selective(answer, gold, p, decided):
    found = answer["figures"]["selective"]
    n = len(gold)
    confidence = p[np.arange(n), decided] if n else np.zeros(0)
    wrong = (decided != gold).astype(int)
    points = []
    area = 0.0
    for threshold in np.unique(confidence)[::-1]:
        accepted = confidence >= threshold
        risk = wrong[accepted].mean()
        points.append((threshold, accepted.mean(), risk, int(wrong[accepted].sum()), int(accepted.sum())))
        area += risk * (confidence == threshold).sum() / n
    compare("area_under_risk_coverage_curve", "numpy", found["area_under_risk_coverage_curve"], area if n else math.nan)
    if n and len(np.unique(confidence)) == n:
        order = np.argsort(-confidence)
        value = np.mean(np.cumsum(wrong[order]) / np.arange(1, n + 1))
        compare("aurc without ties", "mean of cumulative risks", found["area_under_risk_coverage_curve"], value)
    for percent in (90, 95, 98):
        covered = [c for _, c, _, w, a in points if Fraction(a - w, a) >= Fraction(percent, 100)]
        compare(f"coverage_at_precision_{percent}", "numpy", found[f"coverage_at_precision_{percent}"],
                max(covered, default=0.0) if n else math.nan)
    compare("risk_coverage points", "numpy", len(answer["risk_coverage"]), len(points))
    for told, (threshold, coverage, risk, _, _) in zip(answer["risk_coverage"], points):
        compare("risk_coverage confidence", "numpy", told["confidence"], threshold)
        compare("risk_coverage coverage", "numpy", told["coverage"], coverage)
        compare("risk_coverage risk", "numpy", told["risk"], risk)


def check_conformal(answer, problem):
    """Takes the halves from the crate, copies rows within them, and follows the definition."""
    found = answer["figures"]["conformal"]
    L, gold, p, weights = (problem[name] for name in ("num_labels", "gold", "probabilities", "weights"))
    known = np.flatnonzero(gold < L)
    results = defaultdict(list)
    for testing in answer["testing"]:
        testing = np.array(testing, int)
        calibrating = np.setdiff1d(known, testing)
        assert abs(len(testing) - len(calibrating)) <= L
        testing, calibrating = (np.repeat(rows, weights[rows]) for rows in (testing, calibrating))
        if len(testing) == 0:
            continue
        scores = p[calibrating, gold[calibrating]]
        for percent in (90, 95):
            def threshold(of):
                # LAC scores 1 - p, compared as p so that 1 - p is not rounded.
                rank = math.ceil(Fraction((len(of) + 1) * percent, 100))
                return -math.inf if rank > len(of) else np.partition(-of, rank - 1)[rank - 1] * -1

            for name, at in (("marginal", np.full(L, threshold(scores))),
                             ("class_conditional", np.array([threshold(scores[gold[calibrating] == c]) for c in range(L)]))):
                sets = p[testing] >= at
                results[f"{name}_{percent}"].append((sets[np.arange(len(testing)), gold[testing]].mean(), sets.sum(axis=1).mean()))
    for name in ("marginal_90", "marginal_95", "class_conditional_90", "class_conditional_95"):
        coverage, size = np.mean(results[name], axis=0) if results[name] else (math.nan, math.nan)
        compare(f"conformal {name} coverage", "numpy", found[name]["coverage"], coverage)
        compare(f"conformal {name} set size", "numpy", found[name]["mean_set_size"], size)


def check_noise(answer, problem):
    """Unweighted. Northcutt et al.: the most probable label among those at or above their thresholds."""
    found = answer["noise"]
    L = problem["num_labels"]
    known = np.flatnonzero(problem["gold"] < L)
    gold, p = problem["gold"][known], problem["probabilities"][known]
    thresholds = np.array([p[gold == c, c].mean() if (gold == c).any() else math.inf for c in range(L)])
    for told, value in zip(found["thresholds"], thresholds):
        compare("noise thresholds", "numpy", told, None if math.isinf(value) else value)
    reached = p >= thresholds - 1e-6
    masked = np.where(reached, p, -1)
    confident = np.where(reached.any(axis=1), masked.argmax(axis=1), -1) if len(p) else np.zeros(0, int)
    joint = np.zeros((L, L), int)
    for given, label in zip(gold, confident):
        if label >= 0:
            joint[given, label] += 1
    compare("noise confident_joint", "numpy", float(np.abs(joint - np.array(found["confident_joint"]).reshape(L, L)).max()), 0.0)
    others = p.copy()
    others[np.arange(len(p)), gold] = 0
    self_confidence = p[np.arange(len(p)), gold]
    margin = (self_confidence - others.max(axis=1) + 1) / 2 if len(p) else self_confidence
    suspects = [i for i in np.lexsort((np.arange(len(p)), self_confidence, margin)) if confident[i] not in (-1, gold[i])]
    compare("noise suspects", "numpy", len(found["suspects"]), len(suspects))
    for told, i in zip(found["suspects"], suspects):
        compare("noise suspect score", "numpy", told["score"], margin[i])
        compare("noise suspect row", "numpy", told["row"], known[i])
        compare("noise suspect label", "numpy", told["suggested"], confident[i])
    try:
        from cleanlab.count import compute_confident_joint
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return
    # cleanlab wants every class, and takes the top label, confident or not, where several labels are confident.
    agree = all(confident[i] == p[i].argmax() for i in np.flatnonzero(reached.sum(axis=1) > 1))
    if L > 1 and len(np.unique(gold)) == L and agree and len(p) >= 20:
        theirs = compute_confident_joint(gold, p, calibrate=False)
        # It also keeps the diagonal at one at least.
        ours = np.array(found["confident_joint"])
        np.fill_diagonal(ours, np.maximum(ours.diagonal(), 1))
        compare("noise confident_joint (cleanlab)", "cleanlab", float(np.abs(theirs - ours).max()), 0.0)
        scores = get_label_quality_scores(gold, p, method="normalized_margin")
        place = {row: i for i, row in enumerate(known)}
        for told in found["suspects"]:
            compare("noise suspect score (cleanlab)", "cleanlab", told["score"], scores[place[told["row"]]])


def check_single(problem, answer):
    L, weights = problem["num_labels"], problem["weights"]
    gold, p, decided = (np.repeat(problem[name], weights, axis=0) for name in ("gold", "probabilities", "decided"))
    figures = answer["figures"]
    check_classification(figures, L, gold, p, decided)
    for k, told in enumerate(answer["top_k"], 1):
        compare("top_k_accuracy", "scikit-learn, labels mirrored", told, top_k(L, gold, p, k))
    compare("top_3_accuracy", "scikit-learn, labels mirrored", figures["top_3_accuracy"], top_k(L, gold, p, 3))
    compare("top_5_accuracy", "scikit-learn, labels mirrored", figures["top_5_accuracy"], top_k(L, gold, p, 5))
    check_scoring(figures, L, gold, p)
    check_calibration(answer, L, gold, p)
    check_selective(answer, gold, p, decided)
    check_conformal(answer, problem)
    check_noise(answer, problem)


def check_multi(problem, found):
    weights = problem["weights"]
    gold, decided, unknown, p = (np.repeat(problem[name], weights, axis=0)
                                 for name in ("gold", "decided", "unknown", "probabilities"))
    gold = np.hstack([gold, unknown[:, None]]).astype(int)
    decided = np.hstack([decided, np.zeros((len(decided), 1))]).astype(int)
    n, L = p.shape
    ref = "scikit-learn"
    compare("multilabel exact_match", ref, found["exact_match"], sk.accuracy_score(gold, decided) if n else math.nan)
    occurring = np.flatnonzero(gold.any(axis=0) | decided.any(axis=0)) if n else []
    for average in ("micro", "macro"):
        value = sk.f1_score(gold, decided, average=average, labels=occurring, zero_division=0) if len(occurring) else 0.0
        compare(f"multilabel {average}_f1", f"{ref}, labels that occur", found[f"{average}_f1"], value)
    defined = []
    for label in range(L):
        value = math.nan
        if gold[:, label].any():
            value = sk.average_precision_score(gold[:, label], p[:, label])
            defined.append(value)
        compare("multilabel average_precision", ref, found["labels"][label]["average_precision"], value)
    compare("multilabel mean_average_precision", f"{ref}, labels with a positive", found["mean_average_precision"],
            np.mean(defined) if defined else math.nan)
    columns = {label: label for label in range(L)} | {problem["num_labels"]: L}
    for told in found["labels"]:
        column = columns[told["label"]]
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            gold[:, column], decided[:, column], average="binary", zero_division=0) if n else (0.0, 0.0, 0.0, None)
        compare("multilabel label precision", ref, told["precision"], precision)
        compare("multilabel label recall", ref, told["recall"], recall)
        compare("multilabel label f1", ref, told["f1"], f1)


def check_mcnemar(problem, found):
    from statsmodels.stats.contingency_tables import mcnemar

    first, second = np.array(problem["first"], bool), np.array(problem["second"], bool)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if only_first + only_second == 0:
        compare("mcnemar exact p of no difference", "convention: 1", found["exact_p_value"], 1.0)
        return
    table = [[0, only_first], [only_second, 0]]
    exact, chi = mcnemar(table, exact=True), mcnemar(table, exact=False, correction=True)
    compare("mcnemar exact p", "statsmodels", found["exact_p_value"], exact.pvalue)
    compare("mcnemar chi-square", "statsmodels", found["chi_square"], chi.statistic)
    compare("mcnemar chi-square p", "statsmodels", found["chi_square_p_value"], chi.pvalue)


def check_interval(problem, found):
    values = np.array([math.nan if v is None else v for v in problem["values"]], float)
    defined = values[~np.isnan(values)]
    if len(values) - len(defined) >= len(defined):
        compare("interval undefined", "convention", 0.0 if found is None else 1.0, 0.0)
        return
    for told, share in zip(found, (0.025, 0.975)):
        compare("interval", "numpy.quantile", told, np.quantile(defined, share))


def check_paired(problem, found):
    values, strata = np.array(problem["values"]), np.array(problem["strata"])
    # Strata of fewer than 10 rows are drawn from together.
    strata = np.where(np.bincount(strata)[strata] < 10, -1, strata)
    weights = np.array(found["weights"])
    sizes = np.array([[row[strata == s].sum() for s in np.unique(strata)] for row in weights])
    expected = [np.sum(strata == s) for s in np.unique(strata)]
    compare("resamples keep strata", "numpy", float(np.abs(sizes - expected).max()), 0.0)
    means = weights @ values / weights.sum(axis=1)
    told = found["difference"]
    compare("paired value", "numpy", told["value"], values.mean())
    compare("paired low", "numpy.quantile", told["low"], np.quantile(means, 0.025))
    compare("paired high", "numpy.quantile", told["high"], np.quantile(means, 0.975))
    low, high = np.sum(means <= 1e-12), np.sum(means >= -1e-12)
    compare("paired p", "Davison and Hinkley 1997", told["p_value"], min(1.0, 2 * (1 + min(low, high)) / (len(means) + 1)))


def check_ratio(problem, found):
    rows = np.repeat(np.array(problem["rows"]).reshape(-1, 2), problem["weights"], axis=0)
    part, whole = rows.sum(axis=0)
    compare("ratio", "numpy", found, part / whole if whole else None)


def check_alerts(problem, found):
    """Ties go to the rows that do not matter; 15 % of the rows, rounded down, are looked at."""
    alarm, matters = (np.repeat(np.array(problem[name]), problem["weights"]) for name in ("alarm", "matters"))
    looked_at = np.lexsort((matters, -alarm))[: len(alarm) * 15 // 100]
    compare("alert recall", "numpy", found, matters[looked_at].sum() / matters.sum() if matters.any() and len(looked_at) else None)


def main():
    rng = np.random.default_rng(2024)
    problems = [single_problem(rng, case) for case in range(200)] + [multi_problem(rng, case) for case in range(200)]
    sent = [to_json(problem) for problem in problems]
    for case in range(60):
        rows = int(rng.choice([0, 1, 5, 30, 500, 20000]))
        first, second = rng.random((2, rows)) < rng.uniform(0.3, 0.95, (2, 1))
        sent.append(dict(kind="mc_nemar", first=first.tolist(), second=second.tolist()))
        values = [None if rng.random() < 0.3 else float(v) for v in rng.normal(size=int(rng.integers(0, 50)))]
        sent.append(dict(kind="interval", values=values))
    for case in range(20):
        rows = int(rng.integers(1, 60))
        values = rng.integers(-1, 2, rows) * 1.0
        weights = rng.poisson(1, rows).tolist()
        sent.append(dict(kind="ratio", rows=rng.integers(0, 3, (rows, 2)).tolist(), weights=weights))
        sent.append(dict(kind="alerts", alarm=np.round(rng.random(rows), 1).tolist(),
                         matters=(rng.random(rows) < 0.2).tolist(), weights=weights))
        sent.append(dict(kind="paired", values=values.tolist(), strata=rng.integers(0, 3, rows).tolist(), resamples=199, seed=case))
    if sys.argv[1] == "ask":
        print(json.dumps(sent))
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        answers = json.load(file)
    checks = dict(single=check_single, multi=check_multi, mc_nemar=check_mcnemar, interval=check_interval, paired=check_paired,
                  ratio=check_ratio, alerts=check_alerts)
    for problem, original, answer in zip(sent, problems + sent[len(problems):], answers):
        checks[problem["kind"]](original, answer)
    print(f"{'figure':<44}{'reference':<34}{'compared':>9}  largest deviation")
    for name, (deviation, count, reference) in sorted(worst.items()):
        print(f"{name:<44}{reference:<34}{count:>9}  {deviation:.1e}{'' if deviation <= TOLERANCE else '  WRONG'}")
    failed = [name for name, (deviation, *_) in worst.items() if deviation > TOLERANCE]
    print(f"{len(worst)} figures, {len(failed)} wrong")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
