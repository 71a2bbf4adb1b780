"""Client of the Kubernetes API: requests, watches, informers, credentials. Every failure is an errors.KubeError.

Only this package imports `kubernetes` and `urllib3`.
"""
