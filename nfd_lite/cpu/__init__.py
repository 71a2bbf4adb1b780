"""Identifies the processor: CPUID on x86, HWCAP on other architectures, and /proc/cpuinfo if neither can be read."""
