"""The set-up check: is everything there that a pass needs, and how is what is missing mended? Nothing is written but tokens.

One module for each thing that is looked at; each check is a small function that gives findings. Belongs here: looking at
credentials, permissions, fields, preferences, channels. Does not belong here: records (that is the audit), how findings are
shown (that is the command line).
"""
