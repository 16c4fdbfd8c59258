// Counts executed instructions per address: a plugin of QEMU's TCG, API version 1.
//
// Counts are written when the file dump.N appears in the directory given as dir=, N from 1, to
// counts.N there, then done.N is made: so a command inside the machine can mark stretches of time.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Debian ships no header for plugins; these are the parts of the interface that are used.
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *counter,
                                                uint64_t amount);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

// An open-addressed table of all addresses that were ever translated, at 4 byte granularity.
enum { SLOTS = 1 << 23 };
static struct slot {
    uint64_t key, count; // key: address / 4 + 1; 0 is a free slot
} *table;
static char *directory;

static struct slot *find(uint64_t address) {
    uint64_t key = (address >> 2) + 1;
    uint64_t i = (key * 0x9E3779B97F4A7C15ull) >> 41;
    for (unsigned tries = 0; table[i].key && table[i].key != key; i = (i + 1) % SLOTS)
        if (++tries == SLOTS) {
            fputs("profile: more code than the table has room for\n", stderr);
            exit(1);
        }
    table[i].key = key;
    return &table[i];
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                   &find(qemu_plugin_insn_vaddr(insn))->count, 1);
    }
}

static FILE *create(const char *name, int n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%d", directory, name, n);
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void *watch(void *unused) {
    (void)unused;
    for (int n = 1;; usleep(2000)) {
        char wanted[4096];
        snprintf(wanted, sizeof wanted, "%s/dump.%d", directory, n);
        if (access(wanted, F_OK))
            continue;
        FILE *counts = create("counts", n);
        for (size_t i = 0; i < SLOTS; i++)
            if (table[i].count)
                fprintf(counts, "%lx %lu\n", (unsigned long)((table[i].key - 1) << 2), (unsigned long)table[i].count);
        fclose(counts);
        fclose(create("done", n++));
    }
    return NULL;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "dir=", 4))
            directory = strdup(argv[i] + 4);
    table = calloc(SLOTS, sizeof *table);
    pthread_t thread;
    if (!directory || !table || pthread_create(&thread, NULL, watch, NULL))
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
