"""Time, memory and truth of matching many accounts against many customers, beside three tools that many use.

python -m qbsf_pipeline_tests.benchmarks.matching [--generator first|second] [--size 50000] [--seed 20261] [--noise 1.0]
    [--without-others] [--json]

Each contestant runs in a process of its own, so that its peak memory is its own. The others get our normalised values, so that
only the way of deciding is compared:

* rapidfuzz: ``process.cdist`` with ``fuzz.token_sort_ratio`` of the names, each account against the customers that our blocking
  brings for it;
* TF-IDF of three letters of all names, the ten most similar customers of each account by ``sparse_dot_topn``;
* Splink 5 on DuckDB, link only, trained without labels as its manual does: random sampling for u, expectation maximisation for m.

A tool that scores pairs links either every pair that is high enough, or only where neither side has a second such pair, or only
each other's best. Of each tool are told: what it does at its usual threshold, and, with the rule and the threshold that suit it
best on these very labels (which nobody has in practice), its best recall at a precision of 0.999 and at ours, and its best
precision at our recall. Prints figures and asserts nothing: time depends on the machine.

All but rapidfuzz are optional: ``pip install -e .[benchmark]``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from rapidfuzz import fuzz, process
from rich.console import Console
from rich.table import Table

from qbsf_pipeline.customers.matching.blocking import find_candidates
from qbsf_pipeline.customers.matching.normalising import Normaliser, Party
from qbsf_pipeline_tests.matching import generator, second_generator
from qbsf_pipeline_tests.matching.figures import figures, match
from qbsf_pipeline_tests.matching.generator import Labelled
from qbsf_pipeline_tests.matching.thresholds import SCORED, thresholds

_GENERATORS: dict[str, Callable[[int, int, float], Labelled]] = {
    "first": generator.generate,
    "second": second_generator.generate,
}
_DEMANDED = 0.999
#: The lowest score that is kept for the sweep.
_LOWEST = {"rapidfuzz": 60.0, "tf_idf": 0.3, "splink": 0.01}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        tool, how: who, and by which rule and threshold.
        links, wrong: pairs linked, and those of two companies.
        precision, recall, pair_recall: of the links; over matchable accounts; over all pairs of one company. Null without links.
        seconds, processor_seconds, peak_mebibytes: of the whole contestant; the companies are made before.
    """

    tool: str
    how: str
    links: int
    wrong: int
    precision: float | None
    recall: float | None
    pair_recall: float | None
    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_mebibytes: int = 0
    mebibytes_before: int = 0
    note: str = ""


@dataclass(frozen=True)
class Sides:
    """Both sides as the others get them: in the order of the labelled frames."""

    accounts: list[Party]
    customers: list[Party]

    def names(self) -> tuple[list[str], list[str]]:
        """The first name of each, its words in alphabetical order."""
        accounts, customers = (
            [one.names[0].key if one.names else "" for one in side] for side in (self.accounts, self.customers)
        )
        return accounts, customers


def main() -> None:
    """Measure every contestant, then print."""
    parser = argparse.ArgumentParser(
        prog="python -m qbsf_pipeline_tests.benchmarks.matching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--generator", choices=sorted(_GENERATORS), default="first")
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=20_261)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--without-others", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    world = (chosen.generator, chosen.seed, chosen.size, chosen.noise)
    rows = _in_its_own_process(_run_ours, world)
    missing: list[str] = []
    for name, contestant in () if chosen.without_others else _CONTESTANTS.items():
        lacking = [module for module in contestant.modules if importlib.util.find_spec(module) is None]
        if lacking:
            missing.append(f"{contestant.tool} is left out: {', '.join(lacking)} not installed (pip install -e .[benchmark]).")
        else:
            rows += _in_its_own_process(_run, (name, *world, rows[0].precision, rows[0].recall))
    if chosen.json:
        print(json.dumps({"world": world, "rows": [asdict(row) for row in rows], "missing": missing}, indent=2))
        return
    console = Console(width=190, highlight=False)
    console.print(
        _table(
            f"{chosen.size:,} accounts, {chosen.size:,} customers, {chosen.generator} generator, seed {chosen.seed}, "
            f"noise {chosen.noise}",
            rows,
        )
    )
    for row in rows:
        if row.note:
            console.print(f"{row.tool}: {row.note}")
    for line in missing:
        console.print(line, style="yellow")


def rapidfuzz_in_blocks(sides: Sides) -> pl.DataFrame:
    """Names of each account against those of the customers that our blocking brings for it."""
    words = Counter(word for party in (*sides.accounts, *sides.customers) for name in party.names for word in set(name.words))
    brought: dict[int, list[int]] = {}
    for account, customer in find_candidates(sides.accounts, sides.customers, words).pairs:
        brought.setdefault(account, []).append(customer)
    ours, theirs = sides.names()
    scored: list[tuple[int, int, float]] = []
    for account, customers in brought.items():
        scores = process.cdist([ours[account]], [theirs[one] for one in customers], scorer=fuzz.token_sort_ratio)[0].tolist()
        scored += [(account, one, score) for one, score in zip(customers, scores, strict=True) if score >= _LOWEST["rapidfuzz"]]
    return pl.DataFrame(scored, schema=SCORED, orient="row")


def tf_idf(sides: Sides) -> pl.DataFrame:
    """Cosine of three-letter TF-IDF vectors of all names, the ten nearest."""
    text = importlib.import_module("sklearn.feature_extraction.text")
    top = importlib.import_module("sparse_dot_topn")
    ours, theirs = sides.names()
    matrix = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3)).fit_transform(ours + theirs)
    products = top.sp_matmul_topn(
        matrix[: len(ours)], matrix[len(ours) :].T.tocsr(), top_n=10, threshold=_LOWEST["tf_idf"], n_threads=2
    ).tocoo()
    return pl.DataFrame({"account": products.row, "customer": products.col, "score": products.data}).cast(SCORED)


def splink_on_duckdb(sides: Sides) -> pl.DataFrame:
    """Probability of a match by Splink's model, from names, postal codes, streets, towns, phones, domains and e-mails."""
    splink = importlib.import_module("splink")
    library = importlib.import_module("splink.comparison_library")
    logging.getLogger("splink").setLevel(logging.ERROR)
    block_on = splink.block_on
    by_name = library.JaroWinklerAtThresholds("name", [0.96, 0.92, 0.85]).configure(term_frequency_adjustments=True)
    settings = splink.SettingsCreator(
        link_type="link_only",
        unique_id_column_name="unique_id",
        comparisons=[
            by_name,
            library.LevenshteinAtThresholds("postal_code", [1]),
            library.JaroWinklerAtThresholds("street", [0.95, 0.85]),
            library.JaroWinklerAtThresholds("city", [0.92]),
            library.LevenshteinAtThresholds("phone", [1]),
            library.ExactMatch("domain").configure(term_frequency_adjustments=True),
            library.ExactMatch("email").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("name"),
            block_on("domain"),
            block_on("email"),
            block_on("phone"),
            block_on("postal_code", "number"),
            block_on("postal_code", "substr(name, 1, 4)"),
            block_on("city", "substr(name, 1, 6)"),
            block_on("substr(name, 1, 12)"),
        ],
        retain_matching_columns=False,
    )
    database = splink.DuckDBAPI()
    registered = [
        database.register(_plain(side).to_arrow(), dataset_display_name=name)
        for name, side in (("accounts", sides.accounts), ("customers", sides.customers))
    ]
    linker = splink.Linker(registered, settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("name", "postal_code"), block_on("email", "name"), block_on("phone", "name")], recall=0.6
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=5e6, seed=1)
    for rule in (block_on("name"), block_on("postal_code", "number"), block_on("phone")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule, record_sample_proportion=1.0, max_pairs=2e6)
    found = linker.inference.predict(threshold_match_probability=_LOWEST["splink"])
    columns = found.as_duckdbpyrelation().select("unique_id_l, unique_id_r, source_dataset_l, match_weight").pl()
    straight = pl.col("source_dataset_l") == "accounts"
    pairs: pl.DataFrame = columns.select(
        pl.when(straight).then("unique_id_l").otherwise("unique_id_r").alias("account"),
        pl.when(straight).then("unique_id_r").otherwise("unique_id_l").alias("customer"),
        pl.col("match_weight").alias("score"),
    )
    return pairs.cast(SCORED)


@dataclass(frozen=True)
class _Contestant:
    tool: str
    score: Callable[[Sides], pl.DataFrame]
    usual: float
    #: How the usual threshold is told.
    told: str
    modules: tuple[str, ...] = ()


_CONTESTANTS = {
    "rapidfuzz": _Contestant("rapidfuzz cdist, our blocks", rapidfuzz_in_blocks, 95.0, "token_sort >= 95", ("numpy",)),
    "tf_idf": _Contestant(
        "TF-IDF, sparse top 10", tf_idf, 0.95, "cosine >= 0.95", ("numpy", "scipy", "sklearn", "sparse_dot_topn")
    ),
    # A weight of 4.25 is a probability of 0.95.
    "splink": _Contestant("Splink 5 on DuckDB", splink_on_duckdb, 4.248, "probability >= 0.95", ("splink",)),
}


def _plain(side: list[Party]) -> pl.DataFrame:
    """One value for each field, null where unknown: what Splink takes."""
    rows: list[dict[str, Any]] = []
    for position, one in enumerate(side):
        place = one.addresses[0] if one.addresses else None
        row = {
            "name": one.names[0].key if one.names else None,
            "postal_code": place and place.postal_code,
            "street": place and place.street,
            "number": place and place.number,
            "city": place and place.city,
            "phone": min(one.phones, default=None),
            "domain": min(one.domains, default=None),
            "email": min(one.billing_emails, default=None),
        }
        rows.append({"unique_id": position, **{name: value or None for name, value in row.items()}})
    texts = ("name", "postal_code", "street", "number", "city", "phone", "domain", "email")
    return pl.DataFrame(rows, schema={"unique_id": pl.Int64, **dict.fromkeys(texts, pl.String)})


def _in_its_own_process(measure: Callable[..., list[Row]], arguments: tuple[Any, ...]) -> list[Row]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows: list[Row] = pool.apply(measure, arguments)
    return rows


def _run_ours(which: str, seed: int, size: int, noise: float) -> list[Row]:
    labelled = _GENERATORS[which](seed, size, noise)
    before, clock, cpu = _peak_mebibytes(), time.perf_counter(), time.process_time()
    matches = match(labelled).matches
    seconds, processor_seconds, peak = time.perf_counter() - clock, time.process_time() - cpu, _peak_mebibytes()
    found = figures(labelled, matches)
    note = f"{found.told()}. Wrong by rule: {dict(found.wrong_by_rule)}"
    return [
        Row(
            "qbsf",
            "the packaged rules",
            found.right + found.wrong,
            found.wrong,
            found.precision,
            found.recall,
            found.pair_recall,
            seconds,
            processor_seconds,
            peak,
            before,
            note,
        )
    ]


def _run(name: str, which: str, seed: int, size: int, noise: float, precision: float, recall: float) -> list[Row]:
    labelled = _GENERATORS[which](seed, size, noise)
    contestant = _CONTESTANTS[name]
    before, clock, cpu = _peak_mebibytes(), time.perf_counter(), time.process_time()
    normaliser = Normaliser()
    sides = Sides(
        [normaliser.account(row, ()) for row in labelled.accounts.iter_rows(named=True)],
        [normaliser.customer(row) for row in labelled.customers.iter_rows(named=True)],
    )
    scored = contestant.score(sides)
    seconds, processor_seconds, peak = time.perf_counter() - clock, time.process_time() - cpu, _peak_mebibytes()
    curves = thresholds(
        scored,
        [labelled.company_of_account[one.party_id] for one in sides.accounts],
        [labelled.company_of_customer[one.party_id] for one in sides.customers],
    )

    def row(how: str, point: dict[str, Any] | None) -> Row:
        if point is None:
            nothing = (contestant.tool, f"{how}: at no threshold", 0, 0, None, None, None)
            return Row(*nothing, seconds, processor_seconds, peak, before)
        told = f"{how}: {point['rule']}, score >= {point['score']:.4g}" if how else f"{contestant.told}, {point['rule']}"
        return Row(
            contestant.tool,
            told,
            point["links"],
            point["links"] - point["right"],
            point["precision"],
            point["recall"],
            point["pair_recall"],
            seconds,
            processor_seconds,
            peak,
            before,
        )

    usual = curves.filter(pl.col("score") >= contestant.usual).sort("score").group_by("rule", maintain_order=True).first()
    exact = curves.filter(pl.col("precision") >= _DEMANDED).sort("recall", descending=True).head(1).to_dicts()
    as_exact = curves.filter(pl.col("precision") >= precision).sort("recall", descending=True).head(1).to_dicts()
    as_many = curves.filter(pl.col("recall") >= recall).sort("precision", descending=True).head(1).to_dicts()
    most = curves.sort("recall", "precision", descending=True).head(1).to_dicts()
    return [
        *(row("", point) for point in usual.sort("links", descending=True).to_dicts()),
        row(f"best recall at precision {_DEMANDED}", next(iter(exact), None)),
        row("best recall at our precision", next(iter(as_exact), None)),
        row("best precision at our recall", as_many[0])
        if as_many
        else row("never reaches our recall; most", next(iter(most), None)),
    ]


def _peak_mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("tool")
    table.add_column("links by")
    for column in ("links", "wrong", "precision", "recall", "of pairs", "seconds", "CPU", "peak MiB", "before"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.tool,
            row.how,
            *(
                (f"{row.links:,}", f"{row.wrong:,}", f"{row.precision:.5f}", f"{row.recall:.4f}", f"{row.pair_recall:.4f}")
                if row.links
                else "-----"
            ),
            f"{row.seconds:.1f}",
            f"{row.processor_seconds:.1f}",
            f"{row.peak_mebibytes:,}",
            f"{row.mebibytes_before:,}",
        )
    return table


if __name__ == "__main__":
    main()
