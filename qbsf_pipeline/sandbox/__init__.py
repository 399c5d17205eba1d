"""The built-in local Salesforce, QuickBooks Online and Slack: one process, one port, one file.

Holds what a person or a test needs to run qbsf with no account anywhere. It imports nothing from the rest of the
package, so that the pipeline is always proven against something that does not share its code.
"""
