"""Time, memory and truth of matching many accounts against many customers, beside tools that many use.

python -m qbsf_pipeline_tests.benchmarks.matching [--size 50000] [--seed 20261] [--noise 1.0] [--without-others]

Each contestant runs in a process of its own, so that its peak memory is its own. The others link on the name only, as their
manuals show it, with the threshold that a person would choose: rapidfuzz over the very pairs that our blocking finds
(``fuzz.token_sort_ratio`` of normalised names), once each pair that is high enough and once only where both sides have one
candidate; TF-IDF over three letters with ``sparse_dot_topn``, where numpy, scipy, scikit-learn and sparse_dot_topn are there.
Prints figures and asserts nothing: time depends on the machine.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable

from rapidfuzz import fuzz
from rich.console import Console
from rich.table import Table

from qbsf_pipeline.customers.matching.blocking import find_candidates
from qbsf_pipeline.customers.matching.normalising import Normaliser, Party
from qbsf_pipeline_tests.matching.figures import figures, match
from qbsf_pipeline_tests.matching.generator import Labelled, generate

_CLOSE = 95.0
_COSINE = 0.95
_OPTIONAL = ("numpy", "scipy", "sklearn", "sparse_dot_topn")
_Result = dict[str, float | str]


def main() -> None:
    """Measure every contestant, then print."""
    parser = argparse.ArgumentParser(prog="python -m qbsf_pipeline_tests.benchmarks.matching", description=__doc__)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=20_261)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--without-others", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    contestants = [ours] if chosen.without_others else [ours, names_in_blocks, only_names_in_blocks]
    if not chosen.without_others and all(importlib.util.find_spec(name) is not None for name in _OPTIONAL):
        contestants.append(tf_idf)
    results = [_measured(contestant, chosen.seed, chosen.size, chosen.noise) for contestant in contestants]
    if chosen.json:
        print(json.dumps(results, indent=2))
        return
    table = Table(title=f"{chosen.size} accounts, {chosen.size} customers, seed {chosen.seed}, noise {chosen.noise}")
    for column in results[0]:
        table.add_column(column)
    for result in results:
        table.add_row(*(str(value) for value in result.values()))
    Console(width=200).print(table)


def ours(labelled: Labelled) -> _Result:
    """The program's own rules."""
    found = figures(labelled, match(labelled).matches)
    return {
        "tool": "qbsf rules",
        "links": found.right + found.wrong,
        "wrong": found.wrong,
        "precision": round(found.precision, 5),
        "recall (accounts)": round(found.recall, 4),
        "recall (pairs)": round(found.pair_recall, 4),
        "reviews": found.reviews,
        "linked or shown": round(found.reached, 4),
    }


def names_in_blocks(labelled: Labelled) -> _Result:
    """rapidfuzz over the pairs of our blocking: every pair whose names are close."""
    return _judged(f"rapidfuzz token_sort >= {_CLOSE:.0f}, our blocks", labelled, _close_pairs(labelled))


def only_names_in_blocks(labelled: Labelled) -> _Result:
    """The same, where both sides have one candidate."""
    return _judged(f"rapidfuzz token_sort >= {_CLOSE:.0f}, unique on both sides", labelled, _unique(_close_pairs(labelled)))


def tf_idf(labelled: Labelled) -> _Result:
    """Cosine of three-letter TF-IDF vectors of all names, the ten nearest, where both sides have one candidate."""
    text = importlib.import_module("sklearn.feature_extraction.text")
    top = importlib.import_module("sparse_dot_topn")
    accounts, customers = _parties(labelled)
    left = [party.names[0].key if party.names else "" for party in accounts]
    right = [party.names[0].key if party.names else "" for party in customers]
    vectoriser = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    matrix = vectoriser.fit_transform(left + right)
    products = top.sp_matmul_topn(
        matrix[: len(left)], matrix[len(left) :].T.tocsr(), top_n=10, threshold=_COSINE, n_threads=2
    ).tocoo()
    pairs = [
        (accounts[ours].party_id, customers[theirs].party_id)
        for ours, theirs in zip(products.row.tolist(), products.col.tolist(), strict=True)
    ]
    return _judged(f"TF-IDF cosine >= {_COSINE}, unique on both sides", labelled, _unique(pairs))


def _measured(contestant: Callable[[Labelled], _Result], seed: int, size: int, noise: float) -> _Result:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_run, (contestant.__name__, seed, size, noise))


def _run(name: str, seed: int, size: int, noise: float) -> _Result:
    labelled = generate(seed, size, noise)
    before = _peak_mebibytes()
    clock, cpu = time.perf_counter(), time.process_time()
    result: _Result = globals()[name](labelled)
    return {
        **result,
        "seconds": round(time.perf_counter() - clock, 1),
        "of them CPU": round(time.process_time() - cpu, 1),
        "peak MiB": _peak_mebibytes(),
        "MiB before": before,
    }


def _peak_mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _parties(labelled: Labelled) -> tuple[list[Party], list[Party]]:
    normaliser = Normaliser()
    accounts = [normaliser.account(row, ()) for row in labelled.accounts.iter_rows(named=True)]
    customers = [normaliser.customer(row) for row in labelled.customers.iter_rows(named=True)]
    return accounts, customers


def _close_pairs(labelled: Labelled) -> list[tuple[str, str]]:
    accounts, customers = _parties(labelled)
    words = Counter(word for party in (*accounts, *customers) for name in party.names for word in set(name.words))
    return [
        (accounts[ours].party_id, customers[theirs].party_id)
        for ours, theirs in find_candidates(accounts, customers, words).pairs
        if accounts[ours].names
        and customers[theirs].names
        and fuzz.token_sort_ratio(accounts[ours].names[0].key, customers[theirs].names[0].key) >= _CLOSE
    ]


def _unique(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    left, right = Counter(ours for ours, _ in pairs), Counter(theirs for _, theirs in pairs)
    return [(ours, theirs) for ours, theirs in pairs if left[ours] == 1 and right[theirs] == 1]


def _judged(tool: str, labelled: Labelled, pairs: Iterable[tuple[str, str]]) -> _Result:
    linked = list(pairs)
    right = [one for one in linked if labelled.company_of_account[one[0]] == labelled.company_of_customer[one[1]]]
    companies = Counter(labelled.company_of_customer.values())
    matchable = [company for company in labelled.company_of_account.values() if companies[company]]
    return {
        "tool": tool,
        "links": len(linked),
        "wrong": len(linked) - len(right),
        "precision": round(len(right) / len(linked), 5) if linked else 1.0,
        "recall (accounts)": round(len({ours for ours, _ in right}) / len(matchable), 4),
        "recall (pairs)": round(len(right) / sum(companies[company] for company in matchable), 4),
        "reviews": "-",
        "linked or shown": "-",
    }


if __name__ == "__main__":
    main()
