"""What is owed: what settled which invoice, what is not applied yet, and which deal an invoice bills."""
