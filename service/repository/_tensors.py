"""Names of the tensors of the pixel contract, which every served model keeps."""

IMAGE = "image"
ENHANCED = "enhanced"
AFFINE = "affine"
