"""A second limit on what OpenCV decodes, below its own of 2**30 pixels, should a file get past ours.

OpenCV reads it from the environment once, when it is loaded; so this module is imported before everything else of
the package. Whoever allows larger pictures sets OPENCV_IO_MAX_IMAGE_PIXELS themself.
"""

import os

# As much as libwebp and libavif decode: 16,384 pixels each way.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
