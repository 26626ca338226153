"""Coded distributed multi-agent reinforcement learning (Wang, Xie and Atanasov, ICRA 2021)."""
