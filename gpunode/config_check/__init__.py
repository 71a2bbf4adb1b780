"""`gpunode config check`: the errors of config files, and the settings that agents have with them."""
