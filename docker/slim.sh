#!/bin/sh
# Removes files that serving never uses from an installation, while an image is built: slim.sh /opt/nightlift
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)

find "$packages/numpy" -depth -type d -name tests -exec rm -rf {} +

# ONNX Runtime comes with a second copy as a C library, and with tools for creating models.
cd "$packages/onnxruntime"
rm -rf tools transformers quantization datasets capi/libonnxruntime.so.*

# OpenCV cannot be loaded without FFmpeg and OpenBLAS, but the service uses it neither for videos nor for linear algebra.
# Stubs with the same symbols replace these libraries; calling one of their functions ends the process.
cd "$packages/opencv_python_headless.libs"
for library in libavcodec* libavformat* libavutil* libswscale* libopenblas*; do
    nm --dynamic --defined-only --format=posix "$library" | awk '$2 != "A" {print $1}' >/tmp/names
    cut -d @ -f 1 /tmp/names | awk '{print ".globl " $1 "\n" $1 ":"} END {print "ud2"}' | as -o /tmp/empty.o
    awk -F @@ 'NR == 1 {print $2, "{ *; };"}' /tmp/names >/tmp/version
    ld -shared -soname "$library" --version-script=/tmp/version -o "$library" /tmp/empty.o
done
rm -f libswresample* libvpx* libdrm* libssl* libcrypto* libgfortran* libquadmath* # needed only by the libraries above

# Stripping symbols saves 50 MB. It would break libraries that auditwheel has patched, so only these are stripped.
cd "$packages"
strip --strip-unneeded ml_dtypes/*.so uvloop/*.so httptools/parser/*.so rapidjson*.so PIL/*.so
