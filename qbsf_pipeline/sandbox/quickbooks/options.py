"""What can be set when the sandbox's QuickBooks is started."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class QuickBooksOptions:
    """The Intuit app, the company and the strictness of the local QuickBooks.

    Everything from `tax_rate` on can also be switched later with `behave`.
    """

    client_id: str = "sandbox-quickbooks-client"
    client_secret: str = "sandbox-quickbooks-secret"
    realm_id: str = "9341450000000001"
    #: Accepted once as the start of the chain; every refresh answers with the next one.
    refresh_token: str = "AB11-sandbox-first-refresh-token"
    access_token_seconds: int = 3600
    refresh_token_seconds: int = 8_726_400
    #: How long the refresh token before the current one is still taken.
    grace_seconds: int = 86_400
    requests_per_minute: int = 500
    batches_per_minute: int = 40
    requests_per_second: int = 10
    #: Percent on lines coded TAX, when the company uses sales tax.
    tax_rate: Decimal = Decimal(0)
    #: Every refresh answers with a new refresh token. False keeps the same one.
    rotate_refresh_tokens: bool = True
    #: Any use of a refresh token that is not the current one is refused, without a time of grace.
    strict_rotation: bool = False
    enforce_per_minute: bool = True
    enforce_batch_per_minute: bool = True
    enforce_per_second: bool = False
