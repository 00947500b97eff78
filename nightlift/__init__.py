"""The public door of Nightlift: the command line (`nightlift.cli`) and the Python client (`nightlift.client`)."""
