"""The subcommands of `nightlift` as plain functions; each imports what it needs when it is called."""

from nightlift._commands._keys import keys
from nightlift._commands._networks import evaluate, export, train
from nightlift._commands._pictures import bulk, enhance, video
from nightlift._commands._service import bench, doctor, models, serve

__all__ = ["bench", "bulk", "doctor", "enhance", "evaluate", "export", "keys", "models", "serve", "train", "video"]
