"""What all verbs of gpunode share: formats, tables, progress, errors and exit statuses. Agents do not import this package."""
