"""What every flow has in common: the rows of a plan, gates, approval, jobs and sensors, updates of Salesforce, problems told.

Belongs here: code that two flows need. A module here knows no flow: a flow hands it what is its own.
"""
