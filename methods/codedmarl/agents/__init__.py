"""MADDPG: acting, remembering, and the update of one agent."""
