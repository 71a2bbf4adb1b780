"""The health of the GPUs of a node over time: Xids and discoveries in, assessments out. Shared by the agents that offer GPUs to pods."""
