"""Losses, one file a family: functions or modules from float NCHW pictures in [0, 1] to a scalar."""
