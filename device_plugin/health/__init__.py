"""Health of the GPUs: Xids and polled states become assessments, which mark devices and are reported.

`tracker` and `gpu_assessment` decide by `gpu_core.domain.health`; `xid_queue` and `state_file` are their inputs; `reporter`, `gpu_events`
and `status_writer` report.
"""
