/* A part of nvml.c: MIG modes, GPU instances, compute instances and MIG devices, with the rules and the errors of the driver.
 *
 * The layouts are in the file $GPUNODE_NVML_STATE, which all processes share and which survives a killed process. Without this variable they
 * are in memory, and each load of a scenario starts with the layouts of the scenario. `present` is written last and cleared first, so that
 * a process that reads without the lock sees an instance completely or not at all.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { AMPERE = 8, FIRST_DRIVER_WITH_PROFILES = 550, MIG_CONFIG = 0x100, RESERVED_SHARE = 128, MAX_HANDLES = 1 << 14 };
/* changes: of all layouts. Its waiters are woken, also those of other processes. */
struct state { int is_written; unsigned changes; struct layout layouts[MAX_GPUS]; };

static struct state own, *state = &own;
static int state_file = -1;
static struct handle handles[MAX_HANDLES];
static unsigned handle_count;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER, interning = PTHREAD_MUTEX_INITIALIZER;

/* ---- the state ---- */

static nvmlReturn_t open_state(void) {
    if (state != &own) munmap(state, sizeof *state);
    if (state_file >= 0) close(state_file);
    state = &own;
    state_file = -1;
    handle_count = 0;
    const char *path = getenv("GPUNODE_NVML_STATE");
    if (path != NULL) {
        state_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (state_file < 0 || flock(state_file, LOCK_EX) != 0 || ftruncate(state_file, sizeof *state) != 0) return NO_PERMISSION;
        void *memory = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, state_file, 0);
        if (memory == MAP_FAILED) return UNKNOWN;
        state = memory;
    }
    if (path == NULL || !state->is_written)
        for (unsigned index = 0; index < MAX_GPUS; index++) state->layouts[index] = node.gpus[index].initial;
    state->is_written = 1;
    if (path != NULL) flock(state_file, LOCK_UN);
    return SUCCESS;
}

static struct layout *layout_of(const struct gpu *gpu) { return &state->layouts[gpu->index]; }

/* Waits until a layout has changed since `changes` was read, or for some seconds. */
static void wait_for_change(unsigned changes, double seconds) {
    struct timespec wait = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    syscall(SYS_futex, &state->changes, FUTEX_WAIT, changes, &wait, NULL, 0);
}

static struct layout *begin_change(const struct gpu *gpu) {
    pthread_mutex_lock(&changing);
    if (state_file >= 0) flock(state_file, LOCK_EX);
    return layout_of(gpu);
}

static nvmlReturn_t end_change(struct layout *layout, nvmlReturn_t code, int is_changed) {
    layout->changes += code == SUCCESS && is_changed;
    state->changes++;
    syscall(SYS_futex, &state->changes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    if (state_file >= 0) flock(state_file, LOCK_UN);
    pthread_mutex_unlock(&changing);
    return code;
}

static void publish(unsigned *present) { __atomic_store_n(present, 1, __ATOMIC_RELEASE); }

/* ---- handles ---- */

/* Equal handles have the same address. */
static struct handle *intern(enum kind kind, struct gpu *gpu, unsigned gpu_instance, const char *uuid) {
    pthread_mutex_lock(&interning);
    unsigned at = 0;
    for (; at < handle_count; at++) {
        struct handle *known = &handles[at];
        if (known->kind == kind && known->gpu == gpu && known->gpu_instance == gpu_instance && strcmp(known->uuid, uuid) == 0) break;
    }
    if (at == MAX_HANDLES) abort();
    if (at == handle_count) {
        handles[handle_count] = (struct handle){kind, gpu, gpu_instance, ""};
        strcpy(handles[handle_count++].uuid, uuid);
    }
    pthread_mutex_unlock(&interning);
    return &handles[at];
}

/* ---- profiles ---- */

static const unsigned SLICES[CI_PROFILES] = {1, 2, 3, 4, 7, 8, 6, 1, 7}; /* of compute instance profiles */

/* The ids of these profiles on a board differ from their numbers, so that a test fails if the product confuses the two. */
static unsigned compute_board_id(unsigned number) { return 20 - number; }

static const struct profile *profile_by_number(const struct gpu *gpu, unsigned number) {
    for (unsigned at = 0; at < gpu->profiles; at++)
        if (gpu->profile[at].number == number) return &gpu->profile[at];
    return NULL;
}

static const struct profile *profile_by_id(const struct gpu *gpu, unsigned id) {
    for (unsigned at = 0; at < gpu->profiles; at++)
        if (gpu->profile[at].info.id == id) return &gpu->profile[at];
    return NULL;
}

/* A copy of what a handle means, because another thread may destroy the instance at any time. compute, id: of a compute instance. */
struct found { struct instance instance; const struct profile *profile; struct compute compute; unsigned id; };

static nvmlReturn_t find(const struct handle *handle, struct found *found) {
    found->instance = layout_of(handle->gpu)->instance[handle->gpu_instance];
    found->profile = profile_by_number(handle->gpu, found->instance.profile);
    if (!found->instance.present || found->profile == NULL) return NOT_FOUND;
    if (handle->kind == GPU_INSTANCE) return SUCCESS;
    for (found->id = 0; found->id < MAX_COMPUTE; found->id++) {
        found->compute = found->instance.compute[found->id];
        if (found->compute.present && strcmp(found->compute.uuid, handle->uuid) == 0) return SUCCESS;
    }
    return NOT_FOUND;
}

static nvmlReturn_t check_found(const char *name, const struct handle *handle, enum kind kind, struct found *found) {
    TRY(check(name, handle, kind));
    return find(handle, found);
}

static nvmlReturn_t check_profiles(const struct gpu *gpu) {
    int are_listed = layout_of(gpu)->enabled || atoi(node.driver) >= FIRST_DRIVER_WITH_PROFILES;
    return gpu->mig_capable && are_listed && gpu->profiles ? SUCCESS : NOT_SUPPORTED;
}

/* How many compute instances of a profile an empty GPU instance can have. */
static unsigned compute_count(unsigned slices, unsigned number) {
    if (number > 4 || SLICES[number] > slices || (SLICES[number] == 3 && slices == 4)) return 0;
    return slices / SLICES[number];
}

/* ---- MIG devices ---- */

static struct handle *device_of(struct gpu *gpu, unsigned gpu_instance, const struct compute *compute) {
    return intern(MIG, gpu, gpu_instance, compute->uuid);
}

/* Finds a MIG device by its slot, or by its UUID if the UUID is not NULL. */
static struct handle *find_device(struct gpu *gpu, unsigned slot, const char *uuid) {
    for (unsigned id = 0; id < MAX_INSTANCES; id++) {
        struct instance *instance = &layout_of(gpu)->instance[id];
        for (unsigned each = 0; instance->present && each < MAX_COMPUTE; each++) {
            struct compute *compute = &instance->compute[each];
            if (compute->present && (uuid ? strcmp(compute->uuid, uuid) == 0 : compute->slot == slot)) return device_of(gpu, id, compute);
        }
    }
    return NULL;
}

static nvmlReturn_t check_device(const char *name, const struct handle *device) {
    struct found found;
    return check_found(name, device, MIG, &found);
}

static nvmlReturn_t device_name(const struct handle *device, char *name, size_t length) {
    struct found found;
    TRY(find(device, &found));
    unsigned slices = SLICES[found.compute.profile];
    char part[16] = "";
    if (slices != found.profile->info.sliceCount) snprintf(part, sizeof part, "%uc.", slices);
    snprintf(name, length, "%s MIG %s%s", device->gpu->name, part, found.profile->name);
    return SUCCESS;
}

static int is_in(const nvmlProcessInfo_t *process, const struct handle *device, const struct found *found) {
    return process->gpuInstanceId == device->gpu_instance && process->computeInstanceId == found->id;
}

static nvmlReturn_t device_memory(const struct handle *device, nvmlMemory_v2_t *memory) {
    struct found found;
    TRY(find(device, &found));
    memory->total = found.profile->info.memorySizeMB << 20;
    if (memory->total == 0) return NOT_SUPPORTED;
    memory->reserved = memory->total / RESERVED_SHARE;
    memory->used = 0;
    for (unsigned at = 0; at < device->gpu->processes; at++) {
        const nvmlProcessInfo_t *process = &device->gpu->process[at].info;
        if (is_in(process, device, &found)) memory->used += process->usedGpuMemory;
    }
    unsigned long long taken = memory->used + memory->reserved;
    memory->free = taken < memory->total ? memory->total - taken : 0;
    return SUCCESS;
}

static int has_devices(const struct gpu *gpu, unsigned gpu_instance) {
    if (gpu_instance >= MAX_INSTANCES || !layout_of(gpu)->instance[gpu_instance].present) return 0;
    for (unsigned id = 0; id < MAX_COMPUTE; id++)
        if (layout_of(gpu)->instance[gpu_instance].compute[id].present) return 1;
    return 0;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(struct handle *device, unsigned *count) {
    TRY(check(__func__, device, GPU));
    *count = device->gpu->max_mig;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(struct handle *device, unsigned slot, struct handle **mig_device) {
    TRY(check(__func__, device, GPU));
    if (!device->gpu->mig_capable) return NOT_SUPPORTED;
    if (slot >= device->gpu->max_mig) return INVALID_ARGUMENT;
    struct handle *found = find_device(device->gpu, slot, NULL);
    if (found == NULL) return NOT_FOUND;
    *mig_device = found;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(struct handle *device, unsigned *id) {
    TRY(check_device(__func__, device));
    *id = device->gpu_instance;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(struct handle *device, unsigned *id) {
    struct found found;
    TRY(check_found(__func__, device, MIG, &found));
    *id = found.id;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(struct handle *device, nvmlDeviceAttributes_t *attributes) {
    struct found found;
    TRY(check_found(__func__, device, MIG, &found));
    const nvmlGpuInstanceProfileInfo_t *has = &found.profile->info;
    unsigned slices = SLICES[found.compute.profile];
    *attributes = (nvmlDeviceAttributes_t){
        .multiprocessorCount = has->multiprocessorCount * slices / has->sliceCount,
        .sharedCopyEngineCount = has->copyEngineCount,
        .sharedDecoderCount = has->decoderCount,
        .sharedEncoderCount = has->encoderCount,
        .sharedJpegCount = has->jpegCount,
        .sharedOfaCount = has->ofaCount,
        .gpuInstanceSliceCount = has->sliceCount,
        .computeInstanceSliceCount = slices,
        .memorySizeMB = has->memorySizeMB,
    };
    return SUCCESS;
}

/* ---- the mode ---- */

nvmlReturn_t nvmlDeviceGetMigMode(struct handle *device, unsigned *current, unsigned *pending) {
    TRY(check(__func__, device, GPU));
    if (!device->gpu->mig_capable) return NOT_SUPPORTED;
    *current = layout_of(device->gpu)->enabled;
    *pending = layout_of(device->gpu)->pending;
    return SUCCESS;
}

static int is_empty(const struct layout *layout) {
    for (unsigned id = 0; id < MAX_INSTANCES; id++)
        if (layout->instance[id].present) return 0;
    return 1;
}

static nvmlReturn_t activate(const struct gpu *gpu, struct layout *layout) {
    if (layout->enabled == layout->pending) return SUCCESS;
    if (gpu->processes) return IN_USE;
    if (gpu->major_version == AMPERE) return RESET_REQUIRED;
    layout->enabled = layout->pending;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceSetMigMode(struct handle *device, unsigned mode, nvmlReturn_t *activation) {
    TRY(check(__func__, device, GPU));
    if (!device->gpu->mig_capable) return NOT_SUPPORTED;
    if (mode > 1) return INVALID_ARGUMENT;
    struct layout *layout = begin_change(device->gpu), before = *layout;
    if (!mode && !is_empty(layout)) return end_change(layout, IN_USE, 0);
    layout->pending = mode;
    *activation = activate(device->gpu, layout);
    return end_change(layout, SUCCESS, layout->pending != before.pending || layout->enabled != before.enabled);
}

/* Not a function of NVML: `nvidia-smi --gpu-reset` of the GPU with this index. */
nvmlReturn_t nvmlGpunodeReset(unsigned index) {
    if (node.sessions || index >= node.gpu_count || node.gpus[index].processes) return IN_USE;
    struct layout *layout = begin_change(&node.gpus[index]), before = *layout;
    for (unsigned id = 0; id < MAX_INSTANCES; id++) layout->instance[id].present = 0;
    layout->enabled = layout->pending;
    return end_change(layout, SUCCESS, before.enabled != layout->enabled || !is_empty(&before));
}

/* ---- GPU instances ---- */

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(struct handle *device, unsigned number, nvmlGpuInstanceProfileInfo_t *info) {
    TRY(check(__func__, device, GPU));
    if (number >= GI_PROFILES) return INVALID_ARGUMENT;
    TRY(check_profiles(device->gpu));
    const struct profile *profile = profile_by_number(device->gpu, number);
    if (profile == NULL) return NOT_SUPPORTED;
    *info = profile->info;
    return SUCCESS;
}

static int is_placement(const struct profile *profile, nvmlPlacement_t place) {
    for (unsigned at = 0; at < profile->starts; at++)
        if (profile->start[at] == place.start && profile->memory_slices == place.size) return 1;
    return 0;
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(struct handle *device, unsigned id, nvmlPlacement_t *places, unsigned *count) {
    TRY(check(__func__, device, GPU));
    TRY(check_profiles(device->gpu));
    const struct profile *profile = profile_by_id(device->gpu, id);
    if (profile == NULL) return INVALID_ARGUMENT;
    for (unsigned at = 0; places != NULL && at < profile->starts; at++)
        places[at] = (nvmlPlacement_t){profile->start[at], profile->memory_slices};
    *count = profile->starts;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstances(struct handle *device, unsigned id, struct handle **instances, unsigned *count) {
    TRY(check(__func__, device, GPU));
    TRY(check_profiles(device->gpu));
    const struct profile *profile = profile_by_id(device->gpu, id);
    if (profile == NULL) return INVALID_ARGUMENT;
    if (!layout_of(device->gpu)->enabled) return NOT_SUPPORTED;
    *count = 0;
    for (unsigned each = 0; each < MAX_INSTANCES; each++) {
        const struct instance *instance = &layout_of(device->gpu)->instance[each];
        if (instance->present && instance->profile == profile->number)
            instances[(*count)++] = intern(GPU_INSTANCE, device->gpu, each, "");
    }
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(struct handle *device, unsigned id, struct handle **instance) {
    TRY(check(__func__, device, GPU));
    if (id >= MAX_INSTANCES || !layout_of(device->gpu)->instance[id].present) return NOT_FOUND;
    *instance = intern(GPU_INSTANCE, device->gpu, id, "");
    return SUCCESS;
}

static unsigned slices_mask(unsigned start, unsigned size) { return ((1u << size) - 1) << start; }

/* Whether the layout and a further profile together need more than the whole GPU has. */
static int is_exceeded(const struct gpu *gpu, const struct layout *layout, const struct profile *more) {
    unsigned used[5] = {0};
    const struct profile *whole = more;
    for (unsigned id = 0; id <= MAX_INSTANCES; id++) {
        if (id < MAX_INSTANCES && !layout->instance[id].present) continue;
        const nvmlGpuInstanceProfileInfo_t *has = &(id == MAX_INSTANCES ? more : profile_by_number(gpu, layout->instance[id].profile))->info;
        unsigned needs[5] = {has->sliceCount, has->decoderCount, has->encoderCount, has->jpegCount, has->ofaCount};
        for (unsigned at = 0; at < 5; at++) used[at] += needs[at];
    }
    for (unsigned at = 0; at < gpu->profiles; at++)
        if (gpu->profile[at].info.sliceCount > whole->info.sliceCount) whole = &gpu->profile[at];
    return used[0] > whole->info.sliceCount || used[1] > whole->info.decoderCount || used[2] > whole->info.encoderCount ||
           used[3] > whole->info.jpegCount || used[4] > whole->info.ofaCount;
}

static int has_room(const struct gpu *gpu, const struct layout *layout, const struct profile *profile, nvmlPlacement_t place) {
    unsigned taken = 0;
    for (unsigned id = 0; id < MAX_INSTANCES; id++) {
        const struct instance *instance = &layout->instance[id];
        if (instance->present) taken |= slices_mask(instance->start, profile_by_number(gpu, instance->profile)->memory_slices);
    }
    return is_placement(profile, place) && !(taken & slices_mask(place.start, place.size)) && !is_exceeded(gpu, layout, profile);
}

nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(struct handle *device, unsigned id, const nvmlPlacement_t *place,
                                                      struct handle **created) {
    TRY(check(__func__, device, GPU));
    TRY(check_profiles(device->gpu));
    const struct profile *profile = profile_by_id(device->gpu, id);
    if (profile == NULL) return INVALID_ARGUMENT;
    struct layout *layout = begin_change(device->gpu);
    if (!layout->enabled) return end_change(layout, NOT_SUPPORTED, 0);
    if (!has_room(device->gpu, layout, profile, *place)) return end_change(layout, INSUFFICIENT_RESOURCES, 0);
    unsigned slices = profile->info.sliceCount, at = slices == 7 ? 0 : slices >= 3 ? 1 : slices == 2 ? 3 : 7;
    while (layout->instance[at].present) at++;
    layout->instance[at] = (struct instance){.profile = profile->number, .start = place->start};
    publish(&layout->instance[at].present);
    *created = intern(GPU_INSTANCE, device->gpu, at, "");
    return end_change(layout, SUCCESS, 1);
}

nvmlReturn_t nvmlGpuInstanceGetInfo(struct handle *instance, nvmlGpuInstanceInfo_t *info) {
    struct found found;
    TRY(check_found(__func__, instance, GPU_INSTANCE, &found));
    *info = (nvmlGpuInstanceInfo_t){&instance->gpu->as_device, instance->gpu_instance, found.profile->info.id,
                                    {found.instance.start, found.profile->memory_slices}};
    return SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceDestroy(struct handle *instance) {
    TRY(check(__func__, instance, GPU_INSTANCE));
    struct layout *layout = begin_change(instance->gpu);
    struct found found;
    if (find(instance, &found) != SUCCESS) return end_change(layout, NOT_FOUND, 0);
    if (has_devices(instance->gpu, instance->gpu_instance)) return end_change(layout, IN_USE, 0);
    layout->instance[instance->gpu_instance].present = 0;
    return end_change(layout, SUCCESS, 1);
}

/* ---- compute instances ---- */

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfo(struct handle *instance, unsigned number, unsigned engines,
                                                          nvmlComputeInstanceProfileInfo_t *info) {
    struct found found;
    TRY(check_found(__func__, instance, GPU_INSTANCE, &found));
    if (number >= CI_PROFILES || engines != 0) return INVALID_ARGUMENT;
    const nvmlGpuInstanceProfileInfo_t *has = &found.profile->info;
    unsigned count = compute_count(has->sliceCount, number);
    if (count == 0) return NOT_SUPPORTED;
    *info = (nvmlComputeInstanceProfileInfo_t){
        compute_board_id(number), SLICES[number], count, has->multiprocessorCount * SLICES[number] / has->sliceCount,
        has->copyEngineCount, has->decoderCount, has->encoderCount, has->jpegCount, has->ofaCount};
    return SUCCESS;
}

/* CI_PROFILES for an id that the GPU instance does not have. */
static unsigned compute_number(const struct found *owner, unsigned id) {
    for (unsigned number = 0; number < CI_PROFILES; number++)
        if (compute_board_id(number) == id && compute_count(owner->profile->info.sliceCount, number)) return number;
    return CI_PROFILES;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstances(struct handle *instance, unsigned id, struct handle **listed, unsigned *count) {
    struct found found;
    TRY(check_found(__func__, instance, GPU_INSTANCE, &found));
    unsigned number = compute_number(&found, id);
    if (number == CI_PROFILES) return INVALID_ARGUMENT;
    *count = 0;
    for (unsigned each = 0; each < MAX_COMPUTE; each++) {
        const struct compute *compute = &found.instance.compute[each];
        if (compute->present && compute->profile == number)
            listed[(*count)++] = intern(COMPUTE_INSTANCE, instance->gpu, instance->gpu_instance, compute->uuid);
    }
    return SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(struct handle *instance, unsigned id, struct handle **compute) {
    struct found found;
    TRY(check_found(__func__, instance, GPU_INSTANCE, &found));
    if (id >= MAX_COMPUTE || !found.instance.compute[id].present) return NOT_FOUND;
    *compute = intern(COMPUTE_INSTANCE, instance->gpu, instance->gpu_instance, found.instance.compute[id].uuid);
    return SUCCESS;
}

static int first_free_slot(struct gpu *gpu) {
    for (unsigned slot = 0; slot < gpu->max_mig; slot++)
        if (find_device(gpu, slot, NULL) == NULL) return (int)slot;
    return -1;
}

static int first_free_slices(const struct instance *instance, unsigned all, unsigned slices) {
    unsigned taken = 0;
    for (unsigned id = 0; id < MAX_COMPUTE; id++)
        if (instance->compute[id].present) taken |= slices_mask(instance->compute[id].start, SLICES[instance->compute[id].profile]);
    for (unsigned start = 0; start + slices <= all; start++)
        if (!(taken & slices_mask(start, slices))) return (int)start;
    return -1;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(struct handle *instance, unsigned id, struct handle **created) {
    TRY(check(__func__, instance, GPU_INSTANCE));
    struct layout *layout = begin_change(instance->gpu);
    struct found owner;
    if (find(instance, &owner) != SUCCESS) return end_change(layout, NOT_FOUND, 0);
    unsigned number = compute_number(&owner, id), at = 0;
    if (number == CI_PROFILES) return end_change(layout, INVALID_ARGUMENT, 0);
    int slot = first_free_slot(instance->gpu);
    int start = first_free_slices(&owner.instance, owner.profile->info.sliceCount, SLICES[number]);
    if (slot < 0 || start < 0) return end_change(layout, INSUFFICIENT_RESOURCES, 0);
    while (owner.instance.compute[at].present) at++;
    struct compute *compute = &layout->instance[instance->gpu_instance].compute[at];
    *compute = (struct compute){.profile = number, .start = (unsigned)start, .slot = (unsigned)slot};
    snprintf(compute->uuid, sizeof compute->uuid, "MIG-%.24s%012x", instance->gpu->uuid + 4, layout->changes + 1);
    publish(&compute->present);
    *created = intern(COMPUTE_INSTANCE, instance->gpu, instance->gpu_instance, compute->uuid);
    return end_change(layout, SUCCESS, 1);
}

nvmlReturn_t nvmlComputeInstanceGetInfo_v2(struct handle *instance, nvmlComputeInstanceInfo_t *info) {
    struct found found;
    TRY(check_found(__func__, instance, COMPUTE_INSTANCE, &found));
    *info = (nvmlComputeInstanceInfo_t){&instance->gpu->as_device, intern(GPU_INSTANCE, instance->gpu, instance->gpu_instance, ""),
                                        found.id, compute_board_id(found.compute.profile),
                                        {found.compute.start, SLICES[found.compute.profile]}};
    return SUCCESS;
}

nvmlReturn_t nvmlComputeInstanceDestroy(struct handle *instance) {
    TRY(check(__func__, instance, COMPUTE_INSTANCE));
    struct layout *layout = begin_change(instance->gpu);
    struct found found;
    if (find(instance, &found) != SUCCESS) return end_change(layout, NOT_FOUND, 0);
    for (unsigned at = 0; at < instance->gpu->processes; at++)
        if (is_in(&instance->gpu->process[at].info, instance, &found)) return end_change(layout, IN_USE, 0);
    layout->instance[instance->gpu_instance].compute[found.id].present = 0;
    return end_change(layout, SUCCESS, 1);
}
