"""Reverse attention for salient object detection (Chen et al., ECCV 2018 and IEEE TIP 2020)."""
