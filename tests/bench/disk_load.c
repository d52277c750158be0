/* SPDX-License-Identifier: MIT */
/*
 * Keeps a disk busy, from inside a guest: disk_load DISK read|write SIZE DEPTH SECONDS|xCOUNT
 *
 * Keeps a disk busy, from inside a guest: disk_load DISK read|write SIZE DEPTH SECONDS|xCOUNT
 * that are multiples of SIZE; for SECONDS, or until COUNT requests are done. Prints
 *
 *   LOAD read 4096 32 requests 12345 ns 1000000000
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 256, ALIGNMENT = 4096, STACK = 64 * 1024 };

static int disk;
static bool writes;
static size_t size;
static uint64_t places;
static uint64_t end_ns = UINT64_MAX;
static long long count_max = INT64_MAX;
static atomic_llong started, done;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *load(void *seed)
{
    uint64_t random = (uintptr_t)seed * 0x9e3779b97f4a7c15;
    uint8_t *buffer = aligned_alloc(ALIGNMENT, size);
    if (!buffer) {
        perror("memory");
        exit(1);
    }
    memset(buffer, 0x5a, size);
    while (now() < end_ns && atomic_fetch_add(&started, 1) < count_max) {
        random = random * 6364136223846793005 + 1442695040888963407;
        off_t offset = (off_t)((random >> 33) % places * size);
        ssize_t moved =
            writes ? pwrite(disk, buffer, size, offset) : pread(disk, buffer, size, offset);
        if (moved != (ssize_t)size) {
            perror("request");
            exit(1);
        }
        atomic_fetch_add(&done, 1);
    }
    free(buffer);
    return NULL;
}

static void start_all(pthread_t *threads, unsigned depth)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned i = 0; i < depth; i++) {
        if (pthread_create(&threads[i], &attributes, load, (void *)(uintptr_t)(i + 1))) {
            perror("thread");
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    static pthread_t threads[DEPTH_MAX];
    if (argc != 6) {
        return 1;
    }
    writes = strcmp(argv[2], "write") == 0;
    size = strtoul(argv[3], NULL, 10);
    unsigned depth = (unsigned)strtoul(argv[4], NULL, 10);
    disk = open(argv[1], (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
    off_t bytes = lseek(disk, 0, SEEK_END);
    if (disk < 0 || size == 0 || bytes < (off_t)size || depth < 1 || depth > DEPTH_MAX) {
        perror(argv[1]);
        return 1;
    }
    places = (uint64_t)bytes / size;
    uint64_t begin = now();
    if (argv[5][0] == 'x') {
        count_max = strtoll(argv[5] + 1, NULL, 10);
    } else {
        end_ns = begin + strtoull(argv[5], NULL, 10) * 1000000000;
    }
    start_all(threads, depth);
    for (unsigned i = 0; i < depth; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("LOAD %s %zu %u requests %lld ns %llu\n", argv[2], size, depth, atomic_load(&done),
           (unsigned long long)(now() - begin));
    return 0;
}
