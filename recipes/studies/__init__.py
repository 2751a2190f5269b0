"""The studies that come with tlmed, one file each: which recipes are trained with which backbones, values and seeds."""
