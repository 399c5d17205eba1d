"""How right a matching was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from qbsf_pipeline.customers.matching.plan import CustomerMatches, match_customers
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.matching.generator import Labelled

_SHOWN = 3


@dataclass(frozen=True)
class Figures:
    """Counts of accounts. *Matchable* are those whose company is in QuickBooks too.

    Attributes:
        right, wrong: links that are and are not the same company.
        matchable: accounts whose company has a customer.
        pairs: pairs of an account and a customer of one company.
        reviews, useful_reviews: questions, and those with the right customer among the first three candidates.
        doubled: matchable accounts for which a second customer would be created.
        wrong_by_rule, right_by_rule: reason (rule) -> links.
    """

    accounts: int
    right: int
    wrong: int
    matchable: int
    pairs: int
    reviews: int
    useful_reviews: int
    doubled: int
    right_by_rule: Counter[str] = field(default_factory=Counter)
    wrong_by_rule: Counter[str] = field(default_factory=Counter)
    mistakes: tuple[tuple[str, str], ...] = ()

    @property
    def precision(self) -> float:
        """Share of the links that are right."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Share of the matchable accounts that are linked rightly without a person."""
        return self.right / self.matchable

    @property
    def pair_recall(self) -> float:
        """The same over pairs: a company with two customers counts twice, and one of them can be linked at most."""
        return self.right / self.pairs

    @property
    def review_share(self) -> float:
        """Share of all accounts that a person is asked about."""
        return self.reviews / self.accounts

    @property
    def usefulness(self) -> float:
        """Share of the questions that show the right customer among the first three: what the queue is worth to who works it."""
        return self.useful_reviews / self.reviews if self.reviews else 1.0

    @property
    def reached(self) -> float:
        """Share of the matchable accounts that are linked, or asked about with the right customer shown."""
        return (self.right + self.useful_reviews) / self.matchable

    def told(self) -> str:
        """One line."""
        return (
            f"{self.right + self.wrong} links, {self.wrong} wrong: precision {self.precision:.5f}, recall {self.recall:.4f} "
            f"(over pairs {self.pair_recall:.4f}); {self.reviews} reviews ({self.review_share:.3f} of all accounts, the right "
            f"customer shown in {self.usefulness:.3f} of them), linked or shown {self.reached:.4f}; a second customer for "
            f"{self.doubled} of {self.matchable} matchable accounts"
        )


def match(labelled: Labelled) -> CustomerMatches:
    """What the program finds, with the packaged rules."""
    return match_customers(
        labelled.accounts, labelled.customers, labelled.contacts, labelled.links, labelled.decisions, load_rules()
    )


def figures(labelled: Labelled, found: pl.DataFrame) -> Figures:
    """Count what was found (columns of MATCHES) against the truth."""
    companies = Counter(labelled.company_of_customer.values())
    counts: Counter[str] = Counter()
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    mistakes: list[tuple[str, str]] = []
    for row in found.iter_rows(named=True):
        company = labelled.company_of_account[row["account_id"]]
        matchable = companies[company] > 0
        if row["outcome"] == "linked":
            rule = row["reason"].split(" (")[0].removeprefix("One customer fits: ")
            same = labelled.company_of_customer[row["customer_id"]] == company
            (right if same else wrong)[rule] += 1
            if not same:
                mistakes.append((row["account_id"], row["customer_id"]))
        elif row["outcome"] == "review":
            shown = [one["customer_id"] for one in parse_json(row["candidates"])[:_SHOWN]]
            counts["useful"] += any(labelled.company_of_customer[one] == company for one in shown)
            counts["reviews"] += 1
        else:
            counts["doubled"] += matchable
        counts["matchable"] += matchable
        counts["pairs"] += companies[company]
    return Figures(
        accounts=found.height,
        right=right.total(),
        wrong=wrong.total(),
        matchable=counts["matchable"],
        pairs=counts["pairs"],
        reviews=counts["reviews"],
        useful_reviews=counts["useful"],
        doubled=counts["doubled"],
        right_by_rule=right,
        wrong_by_rule=wrong,
        mistakes=tuple(mistakes),
    )
