#!/bin/sh
# Takes out of an installation what serving never uses: slim.sh /opt/nightlift, while an image is built.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)

find "$packages/numpy" -depth -type d -name tests -exec rm -rf {} +

# ONNX Runtime comes twice, in Python's module and as a library for C, and with tools that make models.
cd "$packages/onnxruntime"
rm -rf tools transformers quantization datasets capi/libonnxruntime.so.*

# OpenCV wants FFmpeg and OpenBLAS to be there when it is loaded, but nothing here plays videos or solves equations:
# libraries of the same names take their places, in which every function ends the process.
cd "$packages/opencv_python_headless.libs"
for library in libavcodec* libavformat* libavutil* libswscale* libopenblas*; do
    nm --dynamic --defined-only --format=posix "$library" | awk '$2 != "A" {print $1}' >/tmp/names
    cut -d @ -f 1 /tmp/names | awk '{print ".globl " $1 "\n" $1 ":"} END {print "ud2"}' | as -o /tmp/empty.o
    awk -F @@ 'NR == 1 {print $2, "{ *; };"}' /tmp/names >/tmp/version
    ld -shared -soname "$library" --version-script=/tmp/version -o "$library" /tmp/empty.o
done
rm -f libswresample* libvpx* libdrm* libssl* libcrypto* libgfortran* libquadmath* # only those used these

# Symbols, where there are many: 50 MB. Libraries that were patched into their wheels do not survive this.
cd "$packages"
strip --strip-unneeded ml_dtypes/*.so uvloop/*.so httptools/parser/*.so rapidjson*.so PIL/*.so
