/* A libcuda.so.1 for tests, with the functions of the CUDA driver API that discover GPUs and that add two vectors. The results are those
 * of the file $GPUNODE_CUDA_SCENARIO. Each cuInit reads the file. Its lines:
 *
 *   version NUMBER                  the result of cuDriverGetVersion
 *   gpu BYTES MAJOR MINOR NAME      a device
 *   fault FUNCTION DEVICE|* CODE    the result of a function
 *   hang FUNCTION                   a function that does not return
 *   crash FUNCTION                  a function that ends the process by SIGSEGV
 *   mode NUMBER                     the compute mode of all devices
 *   wrong NUMBER                    the number of wrong sums of a kernel
 *
 * Signatures are those of the CUDA Driver API reference. They are declared here again, because the tests compare them with the calls of
 * the product.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int CUresult;
typedef int CUdevice;
enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, OUT_OF_MEMORY = 2, DEVICE_UNAVAILABLE = 46, INVALID_DEVICE = 101, INVALID_IMAGE = 200, NOT_FOUND = 500, NOT_SUPPORTED = 801, SYSTEM_NOT_READY = 802, UNKNOWN = 999 };
enum { MAX_GPUS = 8, MAX_RULES = 16, FIRST_HANDLE = 70, COMPUTE_MAJOR = 75, COMPUTE_MINOR = 76, COMPUTE_MODE = 20 };

struct gpu { unsigned long long memory; int major, minor; char name[200]; };
struct rule { char function[64]; int device, code, hangs, crashes; };
static struct {
    int initialised, version, gpu_count, rule_count, mode, wrong;
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
    } else if (sscanf(line, "crash %63s", rule->function) == 1) {
        rule->device = -1;
        rule->crashes = 1;
        node.rule_count++;
    } else if (sscanf(line, "mode %d", &node.mode) == 1 || sscanf(line, "wrong %d", &node.wrong) == 1) {
        return;
    } else {
        malformed(line);
    }
}

static CUresult find_result(const char *function, int device) {
    for (int at = 0; at < node.rule_count; at++) {
        const struct rule *rule = &node.rules[at];
        if (strcmp(rule->function, function) != 0 || (rule->device >= 0 && rule->device != device)) continue;
        while (rule->hangs) pause();
        if (rule->crashes) raise(SIGSEGV);
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
    if (attribute == COMPUTE_MODE) {
        *value = node.mode;
        return SUCCESS;
    }
    if (attribute != COMPUTE_MAJOR && attribute != COMPUTE_MINOR) return INVALID_VALUE;
    *value = attribute == COMPUTE_MAJOR ? gpu->major : gpu->minor;
    return SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    TRY(check_device(__func__, device));
    *bytes = node.gpus[device - FIRST_HANDLE].memory;
    return SUCCESS;
}

/* The kernels. There is one context, one module and one function, and the memory of the GPU is memory of the process. */
static char context, module, function;

CUresult cuDevicePrimaryCtxRetain(void **result, CUdevice device) {
    TRY(check_device(__func__, device));
    *result = &context;
    return SUCCESS;
}

CUresult cuCtxSetCurrent(void *given) {
    TRY(check(__func__));
    return given == &context ? SUCCESS : INVALID_VALUE;
}

CUresult cuModuleLoadData(void **result, const char *image) {
    TRY(check(__func__));
    if (strstr(image, ".visible .entry add(") == NULL) return INVALID_IMAGE;
    *result = &module;
    return SUCCESS;
}

CUresult cuModuleGetFunction(void **result, void *of, const char *name) {
    TRY(check(__func__));
    if (of != &module || strcmp(name, "add") != 0) return NOT_FOUND;
    *result = &function;
    return SUCCESS;
}

CUresult cuMemAlloc_v2(uint64_t *place, size_t bytes) {
    TRY(check(__func__));
    *place = (uint64_t)(uintptr_t)calloc(1, bytes);
    return *place ? SUCCESS : OUT_OF_MEMORY;
}

CUresult cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    TRY(check(__func__));
    memcpy((void *)(uintptr_t)to, from, bytes);
    return SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    TRY(check(__func__));
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return SUCCESS;
}

/* Computes what the kernel of the product computes, with its parameters: two vectors, their sum, and the number of elements. */
CUresult cuLaunchKernel(void *of, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared, void *stream, void **parameters, void **extra) {
    TRY(check(__func__));
    if (of != &function || grid_y * grid_z * block_y * block_z != 1 || shared || stream || extra) return INVALID_VALUE;
    const uint32_t *left = (const uint32_t *)(uintptr_t)*(uint64_t *)parameters[0];
    const uint32_t *right = (const uint32_t *)(uintptr_t)*(uint64_t *)parameters[1];
    uint32_t *sum = (uint32_t *)(uintptr_t)*(uint64_t *)parameters[2];
    uint32_t count = *(uint32_t *)parameters[3];
    for (uint32_t at = 0; at < count && at < grid_x * block_x; at++) sum[at] = left[at] + right[at] + (at < (uint32_t)node.wrong);
    return SUCCESS;
}

CUresult cuCtxSynchronize(void) {
    return check(__func__);
}

CUresult cuGetErrorName(CUresult code, const char **name) {
    switch (code) {
    case NOT_INITIALIZED: *name = "CUDA_ERROR_NOT_INITIALIZED"; break;
    case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case DEVICE_UNAVAILABLE: *name = "CUDA_ERROR_DEVICE_UNAVAILABLE"; break;
    case SYSTEM_NOT_READY: *name = "CUDA_ERROR_SYSTEM_NOT_READY"; break;
    case INVALID_IMAGE: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case NOT_SUPPORTED: *name = "CUDA_ERROR_NOT_SUPPORTED"; break;
    case UNKNOWN: *name = "CUDA_ERROR_UNKNOWN"; break;
    default: *name = NULL; return INVALID_VALUE;
    }
    return SUCCESS;
}
