"""Tables for analysts, each from one file in ``sql/``, and the published snapshot of the warehouse."""
