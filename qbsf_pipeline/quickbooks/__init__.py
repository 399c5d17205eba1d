"""The one door to QuickBooks Online: its connection (OAuth), its calls, its records as tables, and reading what changed."""
