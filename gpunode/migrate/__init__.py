"""`gpunode migrate`: values of the charts of NVIDIA and Node Feature Discovery become values of the chart gpunode.

The tables in device_plugin.py, gpu_operator.py and node_feature_discovery.py state what each value of these charts is here. The page
docs/reference/chart-values.md and the messages of the chart (templates/_upstream.tpl) are generated from them.
"""
