"""The verb `gpunode node NAME`: one Node in full."""
