"""What each pod uses of its devices. `labels`, `series` and `usage` are pure; `monitor` and `api_pods` read, in threads."""
