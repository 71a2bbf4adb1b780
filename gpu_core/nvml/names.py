"""The names of values of NVML enumerations, as NVIDIA's DRA driver publishes them. Source: NVML API reference, nvmlBrandType_t."""

BRANDS = {
    1: "Quadro",
    2: "Tesla",
    3: "NVS",
    4: "Grid",
    5: "Geforce",
    6: "Titan",
    7: "NvidiaVApps",
    8: "NvidiaVPC",
    9: "NvidiaVCS",
    10: "NvidiaVWS",
    11: "NvidiaCloudGaming",
    12: "QuadroRTX",
    13: "NvidiaRTX",
    14: "Nvidia",
    15: "GeforceRTX",
    16: "TitanRTX",
}
"""NVML_BRAND_* -> name."""
ADDRESSING_MODES = {0: "None", 1: "HMM", 2: "ATS"}
"""NVML_DEVICE_ADDRESSING_MODE_* -> name: how the GPU uses memory of the system."""
