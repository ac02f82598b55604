/*
 * A process whose stacks are known. Four threads stand at the end of a chain of twenty functions each: one computes,
 * one waits, one is blocked inside a heap call, and the main thread writes dumps of its own process.
 *
 *     chain.exe FOLDER [DUMP_COUNT]
 *
 * writes FOLDER\chain-1.dmp, a second later FOLDER\chain-2.dmp and so on, and beside each FOLDER\chain-1.chain.txt with
 * one line for each thread: its id, its name, and its functions in this program, innermost first. The functions note
 * their names themselves while they are entered, so the line is what happened and not what was meant to happen.
 *
 * FOLDER\samples.txt is for the comparison of symbols. Its first line has the address and the length of a table of
 * pointers into this program's code; the other lines are those pointers, as offsets from the beginning of the image.
 *
 * Exit codes: 0 done, 1 a call failed (its name is on standard error), 2 wrong use.
 */

#include <windows.h>

#include <dbghelp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#define KEPT __attribute__((noinline))
#else
#define KEPT __attribute__((noipa))
#endif

/* Exported, so that a build without a PDB has the names too; never inlined or cloned, so that each has a frame. */
#define EXPORT __declspec(dllexport) KEPT

enum {
    MOST_NAMES = 64,
    THREAD_COUNT = 4,
    STACK_BYTES = 1 << 20,
    ARRIVAL_MS = 30000,
    SETTLE_MS = 300,
    SAMPLE_STEP = 13
};

/* One thread's way down its chain. */
struct walk {
    const char *name;
    DWORD tid;
    const char *functions[MOST_NAMES];
    volatile LONG function_count;
    volatile LONG has_arrived;
    volatile LONG spin_count;
    INIT_ONCE once;
};

/* Compilers cannot know these, so no value that depends on them is computed early or left out. */
static volatile int unknown_int = 1;
static volatile double unknown_double = 1.0;

static struct walk walks[THREAD_COUNT] = {{.name = "main"}, {.name = "spin"}, {.name = "wait"}, {.name = "heap"}};
static HANDLE never_signalled;
static HANDLE private_heap;
static const char *folder;
static int dump_count = 1;

#define ENTER(walk) ((walk)->functions[(walk)->function_count++] = __func__)

static void fail(const char *what)
{
    fprintf(stderr, "chain: %s failed with error %lu\n", what, GetLastError());
    fflush(stderr);
    ExitProcess(1);
}

EXPORT int main_20(struct walk *walk, int value);
EXPORT int spin_20(struct walk *walk, int value);
EXPORT int wait_20(struct walk *walk, int value);
EXPORT int heap_20(struct walk *walk, int value);

#define FAMILY main
#include "levels.h"
#undef FAMILY
#define FAMILY spin
#include "levels.h"
#undef FAMILY
#define FAMILY wait
#include "levels.h"
#undef FAMILY
#define FAMILY heap
#include "levels.h"
#undef FAMILY

/* A leaf: it calls nothing and saves nothing, so it has no unwind data at all. */
EXPORT int spin_20(struct walk *walk, int value)
{
    ENTER(walk);
    walk->has_arrived = 1;
    while (unknown_int)
        walk->spin_count = walk->spin_count * 3 + value;
    return value;
}

EXPORT int wait_20(struct walk *walk, int value)
{
    ENTER(walk);
    walk->has_arrived = 1;
    return (int)WaitForSingleObject(never_signalled, INFINITE) + value;
}

/* The main thread holds the heap's lock. */
EXPORT int heap_20(struct walk *walk, int value)
{
    ENTER(walk);
    walk->has_arrived = 1;
    return HeapAlloc(private_heap, 0, 5000) != NULL ? value : -1;
}

EXPORT DWORD WINAPI spin_thread(void *walk)
{
    ENTER((struct walk *)walk);
    return spin_01(walk, unknown_int) + unknown_int;
}

EXPORT DWORD WINAPI wait_thread(void *walk)
{
    ENTER((struct walk *)walk);
    return wait_01(walk, unknown_int) + unknown_int;
}

EXPORT DWORD WINAPI heap_thread(void *walk)
{
    ENTER((struct walk *)walk);
    return heap_01(walk, unknown_int) + unknown_int;
}

static void write_chains(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail("fopen");
    for (int i = 0; i < THREAD_COUNT; i++) {
        const struct walk *walk = &walks[i];
        fprintf(file, "%lu %s", walk->tid, walk->name);
        for (LONG j = walk->function_count - 1; j >= 0; j--)
            fprintf(file, " %s", walk->functions[j]);
        fprintf(file, "\n");
    }
    if (fclose(file) != 0)
        fail("fclose");
}

/*
 * A writer cannot suspend itself, so its own context must come from it. MiniDumpWriteDump takes one with an exception;
 * STATUS_SUCCESS there, since none happened.
 */
EXPORT int main_write(struct walk *walk, int number)
{
    char path[MAX_PATH];
    CONTEXT context;
    EXCEPTION_RECORD record;
    EXCEPTION_POINTERS pointers = {&record, &context};
    MINIDUMP_EXCEPTION_INFORMATION exception = {GetCurrentThreadId(), &pointers, FALSE};

    ENTER(walk);
    snprintf(path, sizeof path, "%s\\chain-%d.chain.txt", folder, number);
    write_chains(path);
    snprintf(path, sizeof path, "%s\\chain-%d.dmp", folder, number);
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        fail("CreateFileA");
    memset(&record, 0, sizeof record);
    RtlCaptureContext(&context);
    record.ExceptionAddress = (void *)main_write;
    BOOL is_written =
        MiniDumpWriteDump(GetCurrentProcess(), GetCurrentProcessId(), file,
                          MiniDumpWithFullMemory | MiniDumpWithHandleData | MiniDumpWithUnloadedModules |
                              MiniDumpWithFullMemoryInfo | MiniDumpWithThreadInfo,
                          &exception, NULL, NULL);
    if (!is_written)
        fail("MiniDumpWriteDump");
    if (!CloseHandle(file))
        fail("CloseHandle");
    walk->function_count--;
    return unknown_int;
}

EXPORT int main_20(struct walk *walk, int value)
{
    ENTER(walk);
    walk->has_arrived = 1;
    for (int number = 1; number <= dump_count; number++) {
        Sleep(number == 1 ? SETTLE_MS : 1000);
        value += main_write(walk, number);
    }
    return value;
}

/* Every thirteenth byte of the code: beginnings, middles and ends of functions. */
static void write_samples(void)
{
    const char *image = (const char *)GetModuleHandleA(NULL);
    const IMAGE_NT_HEADERS *headers = (const IMAGE_NT_HEADERS *)(image + ((const IMAGE_DOS_HEADER *)image)->e_lfanew);
    DWORD first = IMAGE_FIRST_SECTION(headers)->VirtualAddress;
    DWORD count = IMAGE_FIRST_SECTION(headers)->Misc.VirtualSize / SAMPLE_STEP;
    char path[MAX_PATH];
    const char **table = VirtualAlloc(NULL, count * sizeof *table, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (table == NULL)
        fail("VirtualAlloc");
    snprintf(path, sizeof path, "%s\\samples.txt", folder);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail("fopen");
    fprintf(file, "%p %lu\n", (void *)table, count);
    for (DWORD i = 0; i < count; i++) {
        DWORD rva = first + i * SAMPLE_STEP;
        table[i] = image + rva;
        fprintf(file, "0x%lx\n", rva);
    }
    if (fclose(file) != 0)
        fail("fclose");
}

static void start_thread(struct walk *walk, LPTHREAD_START_ROUTINE routine)
{
    if (CreateThread(NULL, STACK_BYTES, routine, walk, STACK_SIZE_PARAM_IS_A_RESERVATION, &walk->tid) == NULL)
        fail("CreateThread");
}

EXPORT int main(int argument_count, char **arguments)
{
    struct walk *walk = &walks[0];

    if (argument_count < 2 || argument_count > 3) {
        fprintf(stderr, "chain: chain.exe FOLDER [DUMP_COUNT]\n");
        return 2;
    }
    folder = arguments[1];
    if (argument_count == 3)
        dump_count = atoi(arguments[2]);
    never_signalled = CreateEventA(NULL, TRUE, FALSE, NULL);
    private_heap = HeapCreate(0, 0, 0);
    if (never_signalled == NULL || private_heap == NULL || !HeapLock(private_heap))
        fail("HeapLock");
    write_samples();
    walk->tid = GetCurrentThreadId();
    ENTER(walk);
    start_thread(&walks[1], spin_thread);
    start_thread(&walks[2], wait_thread);
    start_thread(&walks[3], heap_thread);
    for (int waited_ms = 0; !(walks[1].has_arrived && walks[2].has_arrived && walks[3].has_arrived); waited_ms += 10) {
        if (waited_ms > ARRIVAL_MS)
            fail("starting the threads");
        Sleep(10);
    }
    main_01(walk, unknown_int);
    /* The other threads never come back. */
    ExitProcess(0);
}
