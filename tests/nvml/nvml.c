/* A libnvidia-ml.so.1 for tests, with the binary interface of NVML. The results are those of the file $GPUNODE_NVML_SCENARIO, or without
 * this variable those of the file `scenario` in the folder of the library.
 *
 * Each nvmlInit without an open session reads the file, so that one process can discover many nodes. scenario_lines.py writes and
 * describes its lines. Structures and argument order are those of the NVML API reference. They are declared here again, because the
 * tests compare them with the structures of the product. Each nvmlInit and nvmlShutdown appends the number of open sessions as a line
 * to the file $GPUNODE_NVML_SESSIONS, if this variable is set. MIG is in mig.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn_t;
enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMEOUT = 10, RESET_REQUIRED = 16, LIB_RM_VERSION_MISMATCH = 18, IN_USE = 19, INSUFFICIENT_RESOURCES = 23,
    ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999
};

typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned version, value; } nvmlDeviceAddressingMode_t;
#define ADDRESSING_V1 (unsigned)(sizeof(nvmlDeviceAddressingMode_t) | (1u << 24))
#define MEMORY_V2 (unsigned)(sizeof(nvmlMemory_v2_t) | (2u << 24))
typedef struct { unsigned gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned pid; unsigned long long usedGpuMemory; unsigned gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;
typedef struct { unsigned pid; unsigned long long timeStamp; unsigned smUtil, memUtil, encUtil, decUtil; } nvmlProcessUtilizationSample_t;
typedef struct { int isGridLicenseSupported; unsigned licensableFeaturesCount; } nvmlGridLicensableFeatures_t; /* and the features */
typedef struct { unsigned version, isSupportedDevice; } nvmlGpmSupport_t;
typedef struct {
    unsigned metricId;
    nvmlReturn_t nvmlReturn;
    double value;
    struct { char *shortName, *longName, *unit; } metricInfo;
} nvmlGpmMetric_t;
typedef struct { unsigned version, numMetrics; struct sample *sample1, *sample2; nvmlGpmMetric_t metrics[]; } nvmlGpmMetricsGet_t;
typedef struct {
    char busIdLegacy[16];
    unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;
typedef struct {
    unsigned multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount, sharedJpegCount, sharedOfaCount,
        gpuInstanceSliceCount, computeInstanceSliceCount;
    unsigned long long memorySizeMB;
} nvmlDeviceAttributes_t;
typedef struct { unsigned start, size; } nvmlPlacement_t;
typedef struct { void *device; unsigned id, profileId; nvmlPlacement_t placement; } nvmlGpuInstanceInfo_t;
typedef struct { void *device, *gpuInstance; unsigned id, profileId; nvmlPlacement_t placement; } nvmlComputeInstanceInfo_t;
typedef struct {
    unsigned id, isP2pSupported, sliceCount, instanceCount, multiprocessorCount, copyEngineCount, decoderCount, encoderCount,
        jpegCount, ofaCount;
    unsigned long long memorySizeMB;
} nvmlGpuInstanceProfileInfo_t;
typedef struct {
    unsigned id, sliceCount, instanceCount, multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount,
        sharedJpegCount, sharedOfaCount;
} nvmlComputeInstanceProfileInfo_t;
typedef struct { unsigned char clusterUuid[16]; nvmlReturn_t status; unsigned cliqueId; unsigned char state; } nvmlGpuFabricInfo_t;
typedef struct {
    unsigned version;
    unsigned char clusterUuid[16];
    nvmlReturn_t status;
    unsigned cliqueId;
    unsigned char state;
    unsigned healthMask;
} nvmlGpuFabricInfo_v2_t;
typedef struct {
    void *device;
    unsigned long long eventType, eventData;
    unsigned gpuInstanceId, computeInstanceId;
} nvmlEventData_t;
#define FABRIC_V2 (unsigned)(sizeof(nvmlGpuFabricInfo_v2_t) | (2u << 24))
typedef union { double dVal; unsigned uiVal; unsigned long long ullVal; } nvmlValue_t;
typedef struct {
    unsigned fieldId, scopeId;
    long long timestamp, latencyUsec;
    int valueType;
    nvmlReturn_t nvmlReturn;
    nvmlValue_t value;
} nvmlFieldValue_t;
#define EVENT_TYPES 0x10bull

enum {
    MAX_GPUS = 64, MAX_INSTANCES = 16, MAX_COMPUTE = 8, MAX_STARTS = 8, MAX_LINKS = 36, MAX_RULES = 64, MAX_EVENTS = 1 << 20, GI_PROFILES = 18, CI_PROFILES = 9,
    MAX_FIELDS = 64, MAX_PROCESSES = 64, MAX_METRICS = 256
};
enum { RECOVERY_ACTION = 230, UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3, UNCORRECTED = 1, VOLATILE = 0, SM_CLOCK = 1, MEMORY_CLOCK = 2 };
enum kind { GPU = 0x6d01, MIG, GPU_INSTANCE, COMPUTE_INSTANCE };

struct gpu;
/* gpu_instance: of the other kinds than GPU. uuid: of the MIG device, for MIG and COMPUTE_INSTANCE. */
struct handle { enum kind kind; struct gpu *gpu; unsigned gpu_instance; char uuid[48]; };
/* number: NVML_GPU_INSTANCE_PROFILE_*. start: of the possible placements. */
struct profile { unsigned number, memory_slices, starts, start[MAX_STARTS]; nvmlGpuInstanceProfileInfo_t info; char name[32]; };
/* Instances are at the index of their id. profile: the number of NVML. start: a memory slice, and a compute slice. */
struct compute { unsigned present, profile, start, slot; char uuid[48]; };
struct instance { unsigned present, profile, start; struct compute compute[MAX_COMPUTE]; };
struct layout { unsigned enabled, pending, changes; struct instance instance[MAX_INSTANCES]; };
struct field { unsigned id, scope; unsigned long long value; };
struct process { nvmlProcessInfo_t info; unsigned sm; unsigned long long at; };
struct metric { int gpu_instance; unsigned id; double value; };
struct use { int sm_clock, memory_clock, temperature, power, gpu, memory, encoder, decoder, tx, rx, lists_processes, has_gpm; };
struct gpu {
    struct handle as_device;
    struct use use;
    unsigned fields, processes, metrics, profiles;
    struct field field[MAX_FIELDS];
    struct process process[MAX_PROCESSES];
    struct metric metric[MAX_METRICS];
    unsigned long long used, available, reserved;
    unsigned index, minor, mig_capable, max_mig, links, attached, clique, fabric_state, fabric_health;
    unsigned pci_id, pci_subsystem;
    long long memory;
    int major_version, minor_version;
    unsigned recovery_action, remap_pending, remap_failed, retirement_pending;
    unsigned long long uncorrected, clocks_reasons;
    unsigned char cluster[16], near[MAX_GPUS]; /* near: the level and 1, or 0 */
    char uuid[96], bus_id[32], name[96], remotes[MAX_LINKS][32];
    int remote_types[MAX_LINKS];
    struct profile profile[GI_PROFILES];
    struct layout initial;
};
struct rule { char function[64]; int gpu, code, hangs; };
struct event { double at; unsigned gpu, order, gpu_instance, compute_instance; unsigned long long type, data; };
struct event_set { unsigned long long types[MAX_GPUS]; unsigned next, changes[MAX_GPUS]; };
struct sample { struct gpu *gpu; int gpu_instance; };

static struct {
    int sessions, init_code, cuda;
    unsigned gpu_count, rule_count, event_count;
    char driver[80];
    struct timespec start;
    struct gpu gpus[MAX_GPUS];
    struct rule rules[MAX_RULES];
    struct event *events;
} node;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* ---- the scenario file ---- */

static void malformed(const char *line) {
    fprintf(stderr, "nvml simulation: cannot read the scenario line: %s", line);
    abort();
}

static struct gpu *gpu_at(unsigned index, const char *line) {
    if (index >= MAX_GPUS || index >= node.gpu_count) malformed(line);
    return &node.gpus[index];
}

static void read_gpu(const char *line) {
    if (node.gpu_count >= MAX_GPUS) malformed(line);
    struct gpu *gpu = &node.gpus[node.gpu_count];
    gpu->index = node.gpu_count;
    if (sscanf(line, "gpu %u %95s %31s %lld %d %d %u %u %u %95[^\n]", &gpu->minor, gpu->uuid, gpu->bus_id, &gpu->memory,
               &gpu->major_version, &gpu->minor_version, &gpu->mig_capable, &gpu->initial.enabled, &gpu->max_mig, gpu->name) != 10)
        malformed(line);
    gpu->as_device = (struct handle){GPU, gpu, 0, ""};
    gpu->initial.pending = gpu->initial.enabled;
    gpu->use = (struct use){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0};
    gpu->available = (unsigned long long)gpu->memory;
    node.gpu_count++;
}

static void read_pci(const char *line) {
    unsigned index, device, subsystem;
    if (sscanf(line, "pci %u %x %x", &index, &device, &subsystem) != 3) malformed(line);
    gpu_at(index, line)->pci_id = device;
    gpu_at(index, line)->pci_subsystem = subsystem;
}

static void read_profile(const char *line) {
    unsigned index;
    int at;
    struct profile profile = {0};
    nvmlGpuInstanceProfileInfo_t *has = &profile.info;
    if (sscanf(line, "profile %u %u %u %31s %u %u %u %llu %u %u %u %u %u %u %n", &index, &profile.number, &has->id, profile.name,
               &has->sliceCount, &profile.memory_slices, &has->instanceCount, &has->memorySizeMB, &has->multiprocessorCount,
               &has->copyEngineCount, &has->decoderCount, &has->encoderCount, &has->jpegCount, &has->ofaCount, &at) != 14)
        malformed(line);
    for (int more = 0; profile.starts < MAX_STARTS && sscanf(line + at, "%u %n", &profile.start[profile.starts], &more) == 1; at += more)
        profile.starts++;
    struct gpu *gpu = gpu_at(index, line);
    if (gpu->profiles >= GI_PROFILES) malformed(line);
    gpu->profile[gpu->profiles++] = profile;
}

static void read_instance(const char *line) {
    unsigned index, id;
    struct instance instance = {.present = 1};
    if (sscanf(line, "instance %u %u %u %u", &index, &id, &instance.profile, &instance.start) != 4 || id >= MAX_INSTANCES) malformed(line);
    gpu_at(index, line)->initial.instance[id] = instance;
}

static void read_compute(const char *line) {
    unsigned index, gpu_instance, id;
    struct compute compute = {.present = 1};
    if (sscanf(line, "compute %u %u %u %u %u %u %47s", &index, &gpu_instance, &id, &compute.profile, &compute.start, &compute.slot,
               compute.uuid) != 7 || gpu_instance >= MAX_INSTANCES || id >= MAX_COMPUTE || compute.profile >= CI_PROFILES) malformed(line);
    gpu_at(index, line)->initial.instance[gpu_instance].compute[id] = compute;
}

static void read_fabric(const char *line) {
    unsigned index, clique, state, health;
    char hex[33];
    if (sscanf(line, "fabric %u %32[0-9a-f] %u %u %u", &index, hex, &clique, &state, &health) != 5 || strlen(hex) != 32) malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    for (int at = 0; at < 16; at++) sscanf(hex + 2 * at, "%2hhx", &gpu->cluster[at]);
    gpu->attached = 1;
    gpu->clique = clique;
    gpu->fabric_state = state;
    gpu->fabric_health = health;
}

static void read_link(const char *line) {
    unsigned index;
    int type;
    char bus_id[32];
    if (sscanf(line, "link %u %d %31s", &index, &type, bus_id) != 3) malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    if (gpu->links >= MAX_LINKS) malformed(line);
    gpu->remote_types[gpu->links] = type;
    strcpy(gpu->remotes[gpu->links++], bus_id);
}

static void read_near(const char *line) {
    unsigned one, other, level;
    if (sscanf(line, "near %u %u %u", &one, &other, &level) != 3) malformed(line);
    gpu_at(one, line)->near[gpu_at(other, line)->index] = level + 1;
    gpu_at(other, line)->near[one] = level + 1;
}

static void read_rule(const char *line, int hangs) {
    if (node.rule_count >= MAX_RULES) malformed(line);
    struct rule *rule = &node.rules[node.rule_count++];
    char gpu[16];
    rule->hangs = hangs;
    int found = sscanf(line, "%*s %63s %15s %d", rule->function, gpu, &rule->code);
    if (found != (hangs ? 2 : 3)) malformed(line);
    rule->gpu = strcmp(gpu, "*") == 0 ? -1 : atoi(gpu);
}

static void read_state(const char *line) {
    unsigned index, action, pending, failed, retirement;
    unsigned long long uncorrected, reasons;
    if (sscanf(line, "state %u %u %u %u %u %llu %llu", &index, &action, &pending, &failed, &retirement, &uncorrected, &reasons) != 7)
        malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    gpu->recovery_action = action;
    gpu->remap_pending = pending;
    gpu->remap_failed = failed;
    gpu->retirement_pending = retirement;
    gpu->uncorrected = uncorrected;
    gpu->clocks_reasons = reasons;
}

static void read_use(const char *line) {
    unsigned index;
    struct use use;
    if (sscanf(line, "use %u %d %d %d %d %d %d %d %d %d %d %d %d", &index, &use.sm_clock, &use.memory_clock, &use.temperature, &use.power,
               &use.gpu, &use.memory, &use.encoder, &use.decoder, &use.tx, &use.rx, &use.lists_processes, &use.has_gpm) != 13)
        malformed(line);
    gpu_at(index, line)->use = use;
}

static void read_memory(const char *line) {
    unsigned index;
    unsigned long long used, available, reserved;
    if (sscanf(line, "memory %u %llu %llu %llu", &index, &used, &available, &reserved) != 4) malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    gpu->used = used;
    gpu->available = available;
    gpu->reserved = reserved;
}

static void read_field(const char *line) {
    unsigned index;
    struct field field;
    if (sscanf(line, "field %u %u %u %llu", &index, &field.id, &field.scope, &field.value) != 4) malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    if (gpu->fields >= MAX_FIELDS) malformed(line);
    gpu->field[gpu->fields++] = field;
}

static void read_process(const char *line) {
    unsigned index;
    int gpu_instance, compute_instance;
    struct process process = {0};
    if (sscanf(line, "process %u %u %llu %d %d %u %llu", &index, &process.info.pid, &process.info.usedGpuMemory, &gpu_instance,
               &compute_instance, &process.sm, &process.at) != 7) malformed(line);
    process.info.gpuInstanceId = (unsigned)gpu_instance; /* -1 is 0xFFFFFFFF: not in MIG mode */
    process.info.computeInstanceId = (unsigned)compute_instance;
    struct gpu *gpu = gpu_at(index, line);
    if (gpu->processes >= MAX_PROCESSES) malformed(line);
    gpu->process[gpu->processes++] = process;
}

static void read_metric(const char *line) {
    unsigned index;
    struct metric metric;
    if (sscanf(line, "gpm %u %d %u %lf", &index, &metric.gpu_instance, &metric.id, &metric.value) != 4) malformed(line);
    struct gpu *gpu = gpu_at(index, line);
    if (gpu->metrics >= MAX_METRICS) malformed(line);
    gpu->metric[gpu->metrics++] = metric;
}

static int by_time(const void *left, const void *right) {
    const struct event *one = left, *other = right;
    if (one->at != other->at) return one->at < other->at ? -1 : 1;
    return one->order < other->order ? -1 : one->order > other->order;
}

static unsigned instance(int number) { return number < 0 ? ~0u : (unsigned)number; }

static void read_event(const char *line) {
    struct event event = {0};
    int gpu_instance, compute_instance;
    unsigned times;
    double at, per_second;
    if (sscanf(line, "event %u %lf %llu %llu %d %d %u %lf", &event.gpu, &at, &event.type, &event.data, &gpu_instance,
               &compute_instance, &times, &per_second) != 8 || event.gpu >= node.gpu_count || times > MAX_EVENTS - node.event_count)
        malformed(line);
    event.gpu_instance = instance(gpu_instance);
    event.compute_instance = instance(compute_instance);
    node.events = realloc(node.events, (node.event_count + times) * sizeof event);
    for (unsigned number = 0; number < times; number++) {
        event.at = at + number / per_second;
        event.order = node.event_count;
        node.events[node.event_count++] = event;
    }
}

static int starts(const char *line, const char *word) {
    return strncmp(line, word, strlen(word)) == 0 && line[strlen(word)] == ' ';
}

static void read_line(const char *line) {
    if (starts(line, "init")) node.init_code = atoi(line + 5);
    else if (starts(line, "driver")) sscanf(line, "driver %79[^\n]", node.driver);
    else if (starts(line, "cuda")) node.cuda = atoi(line + 5);
    else if (starts(line, "gpu")) read_gpu(line);
    else if (starts(line, "pci")) read_pci(line);
    else if (starts(line, "profile")) read_profile(line);
    else if (starts(line, "instance")) read_instance(line);
    else if (starts(line, "compute")) read_compute(line);
    else if (starts(line, "fabric")) read_fabric(line);
    else if (starts(line, "link")) read_link(line);
    else if (starts(line, "near")) read_near(line);
    else if (starts(line, "fault")) read_rule(line, 0);
    else if (starts(line, "hang")) read_rule(line, 1);
    else if (starts(line, "state")) read_state(line);
    else if (starts(line, "event")) read_event(line);
    else if (starts(line, "use")) read_use(line);
    else if (starts(line, "memory")) read_memory(line);
    else if (starts(line, "field")) read_field(line);
    else if (starts(line, "process")) read_process(line);
    else if (starts(line, "gpm")) read_metric(line);
    else malformed(line);
}

static nvmlReturn_t open_state(void);

static FILE *open_scenario(void) {
    const char *path = getenv("GPUNODE_NVML_SCENARIO");
    if (path) return fopen(path, "r");
    Dl_info self;
    char beside[4096];
    if (!dladdr((void *)open_scenario, &self) || !self.dli_fname) return NULL;
    const char *name = strrchr(self.dli_fname, '/');
    int folder = name ? (int)(name - self.dli_fname) + 1 : 0;
    int length = snprintf(beside, sizeof beside, "%.*sscenario", folder, self.dli_fname);
    return length < (int)sizeof beside ? fopen(beside, "r") : NULL;
}

static nvmlReturn_t load(void) {
    int sessions = node.sessions;
    free(node.events);
    memset(&node, 0, sizeof node);
    node.sessions = sessions;
    FILE *file = open_scenario();
    if (file == NULL) return DRIVER_NOT_LOADED;
    char line[1024];
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    if (node.event_count) qsort(node.events, node.event_count, sizeof *node.events, by_time);
    clock_gettime(CLOCK_MONOTONIC, &node.start);
#ifdef FITS
    if (strcmp(node.driver, FITS) != 0) return LIB_RM_VERSION_MISMATCH;
#endif
    return node.init_code ? node.init_code : open_state();
}

/* ---- what every call does first ---- */

static void hang(void) {
    for (;;) pause();
}

/* `name` is what is exported; a rule may leave its version suffix out. */
static int is_about(const char *rule, const char *name) {
    size_t length = strlen(rule);
    if (strncmp(rule, name, length) != 0) return 0;
    return name[length] == '\0' || (name[length] == '_' && name[length + 1] == 'v');
}

static nvmlReturn_t find_result(const char *name, const struct gpu *gpu) {
    for (unsigned at = 0; at < node.rule_count; at++) {
        const struct rule *rule = &node.rules[at];
        if (!is_about(rule->function, name) && strcmp(rule->function, "*") != 0) continue;
        if (rule->gpu >= 0 && (gpu == NULL || gpu->index != (unsigned)rule->gpu)) continue;
        if (rule->hangs) hang();
        return rule->code;
    }
    return SUCCESS;
}

static nvmlReturn_t check_system(const char *name) {
    return node.sessions == 0 ? UNINITIALIZED : find_result(name, NULL);
}

static nvmlReturn_t check(const char *name, const struct handle *handle, enum kind kind) {
    if (node.sessions == 0) return UNINITIALIZED;
    if (handle == NULL || handle->kind != kind) return INVALID_ARGUMENT;
    return find_result(name, handle->gpu);
}

static nvmlReturn_t check_device(const char *name, const struct handle *device);

static nvmlReturn_t check_any(const char *name, const struct handle *handle) {
    if (handle != NULL && handle->kind == MIG) return check_device(name, handle);
    return check(name, handle, GPU);
}

#define TRY(expression) do { nvmlReturn_t code_ = (expression); if (code_ != SUCCESS) return code_; } while (0)

static nvmlReturn_t copy_text(char *to, unsigned length, const char *text) {
    if (to == NULL) return INVALID_ARGUMENT;
    if (strlen(text) >= length) return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

static nvmlReturn_t fill_pci(nvmlPciInfo_t *info, const char *bus_id) {
    if (info == NULL) return INVALID_ARGUMENT;
    memset(info, 0, sizeof *info);
    strcpy(info->busId, bus_id);
    strcpy(info->busIdLegacy, strlen(bus_id) > 12 ? bus_id + strlen(bus_id) - 12 : bus_id);
    sscanf(bus_id, "%x:%x:%x", &info->domain, &info->bus, &info->device);
    return SUCCESS;
}

#include "mig.c"

/* ---- the library itself ---- */

static void report_sessions(void) {
    const char *path = getenv("GPUNODE_NVML_SESSIONS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%d\n", node.sessions);
    fclose(file);
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&loading);
    nvmlReturn_t code = node.sessions ? SUCCESS : load();
    node.sessions += code == SUCCESS;
    if (code == SUCCESS) report_sessions();
    pthread_mutex_unlock(&loading);
    if (code == SUCCESS) find_result("nvmlInit_v2", NULL); /* may hang */
    return code;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    pthread_mutex_lock(&loading);
    nvmlReturn_t code = node.sessions ? SUCCESS : UNINITIALIZED;
    node.sessions -= code == SUCCESS;
    if (code == SUCCESS) report_sessions();
    pthread_mutex_unlock(&loading);
    return code;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMEOUT: return "Timeout";
    case 15: return "GPU is lost";
    case NO_PERMISSION: return "Insufficient Permissions";
    case IN_USE: return "In use by another client";
    case INSUFFICIENT_RESOURCES: return "Insufficient Resources";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

/* ---- the system ---- */

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    TRY(check_system(__func__));
    return copy_text(version, length, node.driver);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
    TRY(check_system(__func__));
    *version = node.cuda;
    return node.cuda ? SUCCESS : NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    TRY(check_system(__func__));
    *count = node.gpu_count;
    return SUCCESS;
}

/* ---- a GPU ---- */

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, struct handle **device) {
    if (node.sessions == 0) return UNINITIALIZED;
    if (index >= node.gpu_count) return INVALID_ARGUMENT;
    TRY(find_result(__func__, &node.gpus[index]));
    *device = &node.gpus[index].as_device;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, struct handle **device) {
    if (node.sessions == 0) return UNINITIALIZED;
    for (unsigned index = 0; index < node.gpu_count; index++) {
        struct gpu *gpu = &node.gpus[index];
        struct handle *found = strcmp(gpu->uuid, uuid) == 0 ? &gpu->as_device : NULL;
        if (found == NULL) found = find_device(gpu, 0, uuid);
        if (found == NULL) continue;
        TRY(find_result(__func__, gpu));
        *device = found;
        return SUCCESS;
    }
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetUUID(struct handle *device, char *uuid, unsigned length) {
    TRY(check_any(__func__, device));
    return copy_text(uuid, length, device->kind == MIG ? device->uuid : device->gpu->uuid);
}

nvmlReturn_t nvmlDeviceGetName(struct handle *device, char *name, unsigned length) {
    TRY(check_any(__func__, device));
    if (device->kind == GPU) return copy_text(name, length, device->gpu->name);
    char of_mig[160];
    TRY(device_name(device, of_mig, sizeof of_mig));
    return copy_text(name, length, of_mig);
}

nvmlReturn_t nvmlDeviceGetBrand(struct handle *device, unsigned *brand) {
    TRY(check(__func__, device, GPU));
    *brand = strstr(device->gpu->name, "GeForce") ? 5 : strstr(device->gpu->name, "Tesla") ? 2 : 14;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAddressingMode(struct handle *device, nvmlDeviceAddressingMode_t *mode) {
    TRY(check(__func__, device, GPU));
    if (mode->version != ADDRESSING_V1) return ARGUMENT_VERSION_MISMATCH;
    mode->value = strstr(device->gpu->name, "GB200") ? 2 : 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(struct handle *device, unsigned *minor) {
    TRY(check(__func__, device, GPU));
    *minor = device->gpu->minor;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(struct handle *device, nvmlPciInfo_t *info) {
    TRY(check(__func__, device, GPU));
    if (strcmp(device->gpu->bus_id, "-") == 0) return NOT_SUPPORTED;
    TRY(fill_pci(info, device->gpu->bus_id));
    info->pciDeviceId = device->gpu->pci_id;
    info->pciSubSystemId = device->gpu->pci_subsystem;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(struct handle *device, nvmlMemory_v2_t *memory) {
    TRY(check_any(__func__, device));
    if (memory->version != MEMORY_V2) return ARGUMENT_VERSION_MISMATCH;
    if (device->kind == MIG) return device_memory(device, memory);
    const struct gpu *gpu = device->gpu;
    if (gpu->memory < 0) return NOT_SUPPORTED;
    memory->total = (unsigned long long)gpu->memory;
    memory->reserved = gpu->reserved;
    memory->free = gpu->available;
    memory->used = gpu->used;
    return SUCCESS;
}

/* The first version counts what is reserved as used. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(struct handle *device, nvmlMemory_t *memory) {
    nvmlMemory_v2_t second = {.version = MEMORY_V2};
    TRY(nvmlDeviceGetMemoryInfo_v2(device, &second));
    *memory = (nvmlMemory_t){second.total, second.free, second.used + second.reserved};
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(struct handle *device, int *major, int *minor) {
    TRY(check(__func__, device, GPU));
    if (device->gpu->major_version < 0) return NOT_SUPPORTED;
    *major = device->gpu->major_version;
    *minor = device->gpu->minor_version;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo(struct handle *device, nvmlGpuFabricInfo_t *info) {
    TRY(check(__func__, device, GPU));
    if (!device->gpu->attached) return NOT_SUPPORTED;
    memcpy(info->clusterUuid, device->gpu->cluster, 16);
    info->status = SUCCESS;
    info->cliqueId = device->gpu->clique;
    info->state = (unsigned char)device->gpu->fabric_state;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(struct handle *device, nvmlGpuFabricInfo_v2_t *info) {
    TRY(check(__func__, device, GPU));
    if (info->version != FABRIC_V2) return ARGUMENT_VERSION_MISMATCH;
    if (!device->gpu->attached) return NOT_SUPPORTED;
    memcpy(info->clusterUuid, device->gpu->cluster, 16);
    info->status = SUCCESS;
    info->cliqueId = device->gpu->clique;
    info->state = (unsigned char)device->gpu->fabric_state;
    info->healthMask = device->gpu->fabric_health;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(struct handle *device, unsigned link, unsigned *active) {
    TRY(check(__func__, device, GPU));
    if (link >= MAX_LINKS) return INVALID_ARGUMENT;
    if (device->gpu->links == 0) return NOT_SUPPORTED;
    *active = link < device->gpu->links;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(struct handle *device, unsigned link, int *type) {
    TRY(check(__func__, device, GPU));
    if (link >= device->gpu->links) return INVALID_ARGUMENT;
    *type = device->gpu->remote_types[link];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(struct handle *device, unsigned link, nvmlPciInfo_t *info) {
    TRY(check(__func__, device, GPU));
    if (link >= device->gpu->links) return INVALID_ARGUMENT;
    return fill_pci(info, device->gpu->remotes[link]);
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(struct handle *device, struct handle *other, int *level) {
    TRY(check(__func__, device, GPU));
    TRY(check(__func__, other, GPU));
    if (device->gpu->near[other->gpu->index] == 0) return NOT_SUPPORTED;
    *level = device->gpu->near[other->gpu->index] - 1;
    return SUCCESS;
}

/* ---- its health ---- */

static void fill_field(const struct gpu *gpu, nvmlFieldValue_t *value) {
    value->nvmlReturn = INVALID_ARGUMENT;
    if (value->fieldId == RECOVERY_ACTION) {
        value->nvmlReturn = SUCCESS;
        value->valueType = UNSIGNED_INT;
        value->value.uiVal = gpu->recovery_action;
    }
    for (unsigned at = 0; at < gpu->fields; at++) {
        if (gpu->field[at].id != value->fieldId || gpu->field[at].scope != value->scopeId) continue;
        value->nvmlReturn = SUCCESS;
        value->valueType = UNSIGNED_LONG_LONG;
        value->value.ullVal = gpu->field[at].value;
    }
}

nvmlReturn_t nvmlDeviceGetFieldValues(struct handle *device, int count, nvmlFieldValue_t *values) {
    TRY(check(__func__, device, GPU));
    for (int at = 0; at < count; at++) fill_field(device->gpu, &values[at]);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(struct handle *device, unsigned *correctable, unsigned *uncorrectable, unsigned *pending,
                                       unsigned *failed) {
    TRY(check(__func__, device, GPU));
    *correctable = *uncorrectable = 0;
    *pending = device->gpu->remap_pending;
    *failed = device->gpu->remap_failed;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(struct handle *device, unsigned *pending) {
    TRY(check(__func__, device, GPU));
    *pending = device->gpu->retirement_pending;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(struct handle *device, int kind, int since, unsigned long long *count) {
    TRY(check(__func__, device, GPU));
    *count = kind == UNCORRECTED && since == VOLATILE ? device->gpu->uncorrected : 999;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(struct handle *device, unsigned long long *reasons) {
    TRY(check(__func__, device, GPU));
    *reasons = device->gpu->clocks_reasons;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(struct handle *device, unsigned long long *reasons) {
    TRY(check(__func__, device, GPU));
    *reasons = device->gpu->clocks_reasons;
    return SUCCESS;
}

/* ---- its use ---- */

static nvmlReturn_t give(int value, unsigned *to) {
    if (value < 0) return NOT_SUPPORTED;
    *to = (unsigned)value;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(struct handle *device, int clock, unsigned *mhz) {
    TRY(check(__func__, device, GPU));
    const struct use *use = &device->gpu->use;
    return give(clock == SM_CLOCK ? use->sm_clock : clock == MEMORY_CLOCK ? use->memory_clock : -1, mhz);
}

nvmlReturn_t nvmlDeviceGetTemperature(struct handle *device, int sensor, unsigned *celsius) {
    TRY(check(__func__, device, GPU));
    return sensor ? INVALID_ARGUMENT : give(device->gpu->use.temperature, celsius);
}

nvmlReturn_t nvmlDeviceGetPowerUsage(struct handle *device, unsigned *milliwatts) {
    TRY(check(__func__, device, GPU));
    return give(device->gpu->use.power, milliwatts);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(struct handle *device, nvmlUtilization_t *rates) {
    TRY(check(__func__, device, GPU));
    TRY(give(device->gpu->use.gpu, &rates->gpu));
    return give(device->gpu->use.memory, &rates->memory);
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(struct handle *device, unsigned *percent, unsigned *period) {
    TRY(check(__func__, device, GPU));
    *period = 167000;
    return give(device->gpu->use.encoder, percent);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(struct handle *device, unsigned *percent, unsigned *period) {
    TRY(check(__func__, device, GPU));
    *period = 167000;
    return give(device->gpu->use.decoder, percent);
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(struct handle *device, int counter, unsigned *kilobytes) {
    TRY(check(__func__, device, GPU));
    return give(counter ? device->gpu->use.rx : device->gpu->use.tx, kilobytes);
}

nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(struct handle *device, nvmlGridLicensableFeatures_t *features) {
    TRY(check(__func__, device, GPU));
    features->isGridLicenseSupported = 0;
    features->licensableFeaturesCount = 0;
    return SUCCESS;
}

static nvmlReturn_t give_processes(const struct gpu *gpu, unsigned present, unsigned *count, nvmlProcessInfo_t *infos) {
    unsigned places = infos == NULL ? 0 : *count;
    if (!gpu->use.lists_processes) return NOT_SUPPORTED;
    *count = present;
    if (places < present) return INSUFFICIENT_SIZE;
    for (unsigned at = 0; at < present; at++) infos[at] = gpu->process[at].info;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    TRY(check(__func__, device, GPU));
    return give_processes(device->gpu, device->gpu->processes, count, infos);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    return nvmlDeviceGetComputeRunningProcesses_v3(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    TRY(check(__func__, device, GPU));
    return give_processes(device->gpu, 0, count, infos);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    return nvmlDeviceGetMPSComputeRunningProcesses_v3(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    TRY(check(__func__, device, GPU));
    return give_processes(device->gpu, 0, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(struct handle *device, unsigned *count, nvmlProcessInfo_t *infos) {
    return nvmlDeviceGetGraphicsRunningProcesses_v3(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(struct handle *device, nvmlProcessUtilizationSample_t *samples, unsigned *count,
                                             unsigned long long since) {
    TRY(check(__func__, device, GPU));
    const struct gpu *gpu = device->gpu;
    unsigned places = samples == NULL ? 0 : *count, found = 0;
    if (gpu->use.gpu < 0) return NOT_SUPPORTED;
    for (unsigned at = 0; at < gpu->processes; at++) found += gpu->process[at].at > since;
    *count = found;
    if (found == 0) return NOT_FOUND;
    if (places < found) return INSUFFICIENT_SIZE;
    for (unsigned at = 0, to = 0; at < gpu->processes; at++)
        if (gpu->process[at].at > since)
            samples[to++] = (nvmlProcessUtilizationSample_t){gpu->process[at].info.pid, gpu->process[at].at, gpu->process[at].sm, 0, 0, 0};
    return SUCCESS;
}

nvmlReturn_t nvmlGpmQueryDeviceSupport(struct handle *device, nvmlGpmSupport_t *support) {
    TRY(check(__func__, device, GPU));
    if (support->version != 1) return ARGUMENT_VERSION_MISMATCH;
    support->isSupportedDevice = (unsigned)device->gpu->use.has_gpm;
    return SUCCESS;
}

nvmlReturn_t nvmlGpmSampleAlloc(struct sample **sample) {
    TRY(check_system(__func__));
    *sample = calloc(1, sizeof **sample);
    return *sample ? SUCCESS : UNKNOWN;
}

nvmlReturn_t nvmlGpmSampleFree(struct sample *sample) {
    TRY(check_system(__func__));
    free(sample);
    return SUCCESS;
}

nvmlReturn_t nvmlGpmSampleGet(struct handle *device, struct sample *sample) {
    TRY(check(__func__, device, GPU));
    if (!device->gpu->use.has_gpm || layout_of(device->gpu)->enabled) return NOT_SUPPORTED;
    *sample = (struct sample){device->gpu, -1};
    return SUCCESS;
}

nvmlReturn_t nvmlGpmMigSampleGet(struct handle *device, unsigned gpu_instance, struct sample *sample) {
    TRY(check(__func__, device, GPU));
    if (!has_devices(device->gpu, gpu_instance)) return INVALID_ARGUMENT;
    if (!device->gpu->use.has_gpm) return NOT_SUPPORTED;
    *sample = (struct sample){device->gpu, (int)gpu_instance};
    return SUCCESS;
}

nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *request) {
    TRY(check_system(__func__));
    if (request->version != 1) return ARGUMENT_VERSION_MISMATCH;
    const struct sample *before = request->sample1, *after = request->sample2;
    if (before == NULL || after == NULL || before->gpu == NULL || before->gpu != after->gpu) return INVALID_ARGUMENT;
    for (unsigned at = 0; at < request->numMetrics; at++) {
        nvmlGpmMetric_t *metric = &request->metrics[at];
        metric->nvmlReturn = NOT_SUPPORTED;
        for (unsigned each = 0; each < after->gpu->metrics; each++) {
            const struct metric *known = &after->gpu->metric[each];
            if (known->id != metric->metricId || known->gpu_instance != after->gpu_instance) continue;
            metric->nvmlReturn = SUCCESS;
            metric->value = known->value;
        }
    }
    return SUCCESS;
}

/* ---- events ---- */

nvmlReturn_t nvmlEventSetCreate(struct event_set **set) {
    TRY(check_system(__func__));
    *set = calloc(1, sizeof **set);
    return *set ? SUCCESS : UNKNOWN;
}

nvmlReturn_t nvmlEventSetFree(struct event_set *set) {
    TRY(check_system(__func__));
    free(set);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(struct handle *device, unsigned long long *types) {
    TRY(check(__func__, device, GPU));
    *types = EVENT_TYPES;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(struct handle *device, unsigned long long types, struct event_set *set) {
    TRY(check_any(__func__, device));
    if (types & ~EVENT_TYPES) return NOT_SUPPORTED;
    set->types[device->gpu->index] |= types;
    set->changes[device->gpu->index] = layout_of(device->gpu)->changes;
    return SUCCESS;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - node.start.tv_sec) + (double)(now.tv_nsec - node.start.tv_nsec) / 1e9;
}

static int is_wanted(const struct event_set *set, const struct event *event) {
    return (set->types[event->gpu] & event->type) != 0;
}

/* A changed MIG layout of a registered GPU is one event, however many changes there were. */
static struct gpu *next_change(struct event_set *set) {
    for (unsigned index = 0; index < node.gpu_count; index++) {
        unsigned changes = state->layouts[index].changes;
        if (!(set->types[index] & MIG_CONFIG) || changes == set->changes[index]) continue;
        set->changes[index] = changes;
        return &node.gpus[index];
    }
    return NULL;
}

/* Events are in the order of their time. Blocks until the next event of a registered GPU, or until the timeout. */
nvmlReturn_t nvmlEventSetWait_v2(struct event_set *set, nvmlEventData_t *data, unsigned timeout_ms) {
    TRY(check_system(__func__));
    double end = seconds() + timeout_ms / 1e3;
    while (set->next < node.event_count && !is_wanted(set, &node.events[set->next])) set->next++;
    const struct event *event = set->next == node.event_count || node.events[set->next].at > end ? NULL : &node.events[set->next];
    double due = event ? event->at : end;
    unsigned changes = state->changes;
    struct gpu *changed = next_change(set);
    for (double now = seconds(); changed == NULL && now < due; now = seconds()) {
        wait_for_change(changes, due - now);
        changes = state->changes;
        changed = next_change(set);
    }
    if (changed != NULL) {
        *data = (nvmlEventData_t){&changed->as_device, MIG_CONFIG, 0, ~0u, ~0u};
        return SUCCESS;
    }
    if (event == NULL) return TIMEOUT;
    set->next++;
    *data = (nvmlEventData_t){&node.gpus[event->gpu].as_device, event->type, event->data, event->gpu_instance,
                              event->compute_instance};
    return SUCCESS;
}
