"""IM-NET: shapes as implicit fields (Chen & Zhang, CVPR 2019)."""
