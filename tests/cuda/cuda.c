/* A libcuda.so.1 for tests, with the functions of the CUDA driver API that discover GPUs. The results are those of the file
 * $GPUNODE_CUDA_SCENARIO. Each cuInit reads the file. Its lines:
 *
 *   version NUMBER                  the result of cuDriverGetVersion
 *   gpu BYTES MAJOR MINOR NAME      a device
 *   fault FUNCTION DEVICE|* CODE    the result of a function
 *   hang FUNCTION                   a function that does not return
 *
 * Signatures are those of the CUDA Driver API reference. They are declared here again, because the tests compare them with the calls of
 * the product.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int CUresult;
typedef int CUdevice;
enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_SUPPORTED = 801, UNKNOWN = 999 };
enum { MAX_GPUS = 8, MAX_RULES = 16, FIRST_HANDLE = 70, COMPUTE_MAJOR = 75, COMPUTE_MINOR = 76 };

struct gpu { unsigned long long memory; int major, minor; char name[200]; };
struct rule { char function[64]; int device, code, hangs; };
static struct {
    int initialised, version, gpu_count, rule_count;
    struct gpu gpus[MAX_GPUS];
    struct rule rules[MAX_RULES];
} node;

static void malformed(const char *line) {
    fprintf(stderr, "cuda simulation: cannot read the scenario line: %s", line);
    abort();
}

static void read_line(const char *line) {
    struct gpu *gpu = &node.gpus[node.gpu_count % MAX_GPUS];
    struct rule *rule = &node.rules[node.rule_count % MAX_RULES];
    char device[16];
    if (sscanf(line, "version %d", &node.version) == 1) return;
    if (sscanf(line, "gpu %llu %d %d %199[^\n]", &gpu->memory, &gpu->major, &gpu->minor, gpu->name) == 4) {
        node.gpu_count++;
    } else if (sscanf(line, "fault %63s %15s %d", rule->function, device, &rule->code) == 3) {
        rule->device = strcmp(device, "*") == 0 ? -1 : atoi(device);
        node.rule_count++;
    } else if (sscanf(line, "hang %63s", rule->function) == 1) {
        rule->device = -1;
        rule->hangs = 1;
        node.rule_count++;
    } else {
        malformed(line);
    }
}

static CUresult find_result(const char *function, int device) {
    for (int at = 0; at < node.rule_count; at++) {
        const struct rule *rule = &node.rules[at];
        if (strcmp(rule->function, function) != 0 || (rule->device >= 0 && rule->device != device)) continue;
        while (rule->hangs) pause();
        return rule->code;
    }
    return SUCCESS;
}

static CUresult check(const char *function) {
    return node.initialised ? find_result(function, -1) : NOT_INITIALIZED;
}

/* The handle of a device differs from its number, so that a test fails if the product confuses the two. */
static CUresult check_device(const char *function, CUdevice device) {
    if (!node.initialised) return NOT_INITIALIZED;
    if (device < FIRST_HANDLE || device >= FIRST_HANDLE + node.gpu_count) return INVALID_DEVICE;
    return find_result(function, device - FIRST_HANDLE);
}

#define TRY(expression) do { CUresult code_ = (expression); if (code_ != SUCCESS) return code_; } while (0)

CUresult cuInit(unsigned flags) {
    memset(&node, 0, sizeof node);
    const char *path = getenv("GPUNODE_CUDA_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file == NULL) return NO_DEVICE;
    char line[512];
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    TRY(find_result(__func__, -1));
    node.initialised = 1;
    return flags == 0 ? SUCCESS : INVALID_VALUE;
}

CUresult cuDriverGetVersion(int *version) {
    TRY(check(__func__));
    *version = node.version;
    return SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    TRY(check(__func__));
    *count = node.gpu_count;
    return SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    TRY(check(__func__));
    if (ordinal < 0 || ordinal >= node.gpu_count) return INVALID_DEVICE;
    *device = FIRST_HANDLE + ordinal;
    return SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    TRY(check_device(__func__, device));
    snprintf(name, (size_t)length, "%s", node.gpus[device - FIRST_HANDLE].name);
    return SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    TRY(check_device(__func__, device));
    const struct gpu *gpu = &node.gpus[device - FIRST_HANDLE];
    if (attribute != COMPUTE_MAJOR && attribute != COMPUTE_MINOR) return INVALID_VALUE;
    *value = attribute == COMPUTE_MAJOR ? gpu->major : gpu->minor;
    return SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    TRY(check_device(__func__, device));
    *bytes = node.gpus[device - FIRST_HANDLE].memory;
    return SUCCESS;
}

CUresult cuGetErrorName(CUresult code, const char **name) {
    switch (code) {
    case NOT_INITIALIZED: *name = "CUDA_ERROR_NOT_INITIALIZED"; break;
    case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case NOT_SUPPORTED: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    case UNKNOWN: *name = "CUDA_ERROR_UNKNOWN"; break;
    default: *name = NULL; return INVALID_VALUE;
    }
    return SUCCESS;
}
