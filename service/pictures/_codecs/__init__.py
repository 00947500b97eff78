"""One module a file format: `read_header`, `read_pixels`, and `write` where answers can have the format.

`read_header` looks at no pixel and takes time and memory bounded by the header's own size. `read_pixels` is
called only once the header has passed the limits, and returns exactly the size that the header announced.
Both may raise anything on broken bytes; `_samples.reading` makes that an UnreadablePicture. The modules know
ignore orientation, which is applied after them.
"""
