"""A second limit on what OpenCV decodes, below its own of 2**30 pixels, in case a file passes our limits.

OpenCV reads it from the environment once, when it is loaded; so this module is imported before everything else in the
package. To allow larger pictures, set OPENCV_IO_MAX_IMAGE_PIXELS yourself.
"""

import os

# As much as libwebp and libavif decode: 16,384 pixels each way.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
