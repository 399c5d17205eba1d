"""Whether the customers found for accounts are right: generated companies of which the truth is known, and tricky pairs."""
