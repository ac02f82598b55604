/*
 * Levels 1 to 19 of one chain; chain.c includes them once for each thread and writes level 20 itself. FAMILY is the
 * prefix of the names. Each level has a frame of another shape, and uses what its callee returned, so that no call is
 * a jump. An addition at the end keeps the return address inside of the function.
 */

#define JOIN_(family, rest) family##_##rest
#define JOIN(family, rest) JOIN_(family, rest)
#define LEVEL(rest) JOIN(FAMILY, rest)
/* The last element. Compilers cannot know that, else they would keep the element alone instead of the array. */
#define END(array) (sizeof(array) - (size_t)unknown_int)

/* An ordinary small frame. */
EXPORT int LEVEL(19)(struct walk *walk, int value)
{
    ENTER(walk);
    return LEVEL(20)(walk, value) + unknown_int;
}

/* Saved registers and a probed frame together. */
EXPORT int LEVEL(18)(struct walk *walk, int value)
{
    volatile char pages[3 * 4096];
    int a = unknown_int, b = unknown_int, c = unknown_int, d = unknown_int;
    int e = unknown_int, f = unknown_int, g = unknown_int, h = unknown_int;

    ENTER(walk);
    pages[END(pages)] = (char)value;
    value = LEVEL(19)(walk, value);
    return value + pages[END(pages)] + a * b + c * d + e * f + g * h + a * c * e * g;
}

/* A jump table. */
EXPORT int LEVEL(17)(struct walk *walk, int value)
{
    ENTER(walk);
    switch (unknown_int) {
    case 0: return value * unknown_int;
    case 1: return LEVEL(18)(walk, value + 1) + unknown_int;
    case 2: return value - unknown_int;
    case 3: return value / unknown_int;
    case 4: return value % unknown_int;
    case 5: return value ^ unknown_int;
    default: return value;
    }
}

/* An early way out: a compiler may build the frame only behind it. */
EXPORT int LEVEL(16)(struct walk *walk, int value)
{
    if (unknown_int == 0)
        return value;
    int a = unknown_int, b = unknown_int, c = unknown_int;
    ENTER(walk);
    return LEVEL(17)(walk, value + a) * a + b * c;
}

/* A buffer between the smallest sizes: more than 128 bytes, less than a page. */
EXPORT int LEVEL(15)(struct walk *walk, int value)
{
    volatile char buffer[1000];

    ENTER(walk);
    buffer[unknown_int] = (char)value;
    return LEVEL(16)(walk, value) + buffer[unknown_int];
}

/* Everything at once: frame register, saved registers of both kinds, large and variable locals. */
EXPORT int LEVEL(14)(struct walk *walk, int value)
{
    volatile char pages[2 * 4096];
    volatile char *variable = __builtin_alloca((size_t)unknown_int * 5000);
    int a = unknown_int, b = unknown_int, c = unknown_int, d = unknown_int, e = unknown_int, f = unknown_int;
    double x = unknown_double, y = unknown_double, z = unknown_double;

    ENTER(walk);
    pages[END(pages)] = variable[0] = (char)value;
    value = LEVEL(15)(walk, value);
    return value + pages[END(pages)] + variable[0] + a * b * c + d * e * f + (int)(x * y + z);
}

/* Many arguments: most of them lie in the caller's frame. */
EXPORT int LEVEL(13_sum)(struct walk *walk, int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
    ENTER(walk);
    return LEVEL(14)(walk, a + b + c + d + e + f + g + h + i) + a * b * c * d * e * f * g * h * i;
}

EXPORT int LEVEL(13)(struct walk *walk, int value)
{
    ENTER(walk);
    return LEVEL(13_sum)(walk, value, unknown_int, 3, 4, 5, 6, 7, 8, unknown_int) + unknown_int;
}

/* Locals aligned to more than the stack is. */
EXPORT int LEVEL(12)(struct walk *walk, int value)
{
    volatile char aligned[128] __attribute__((aligned(64)));

    ENTER(walk);
    aligned[unknown_int] = (char)value;
    return LEVEL(13)(walk, value) + aligned[unknown_int];
}

/* Called by the system: between the two stand frames of its libraries. */
EXPORT BOOL WINAPI LEVEL(11_once)(INIT_ONCE *once, void *walk, void **context)
{
    ENTER((struct walk *)walk);
    return LEVEL(12)(walk, unknown_int) + (once != NULL) + (context != NULL) != 0;
}

EXPORT int LEVEL(11)(struct walk *walk, int value)
{
    ENTER(walk);
    return InitOnceExecuteOnce(&walk->once, LEVEL(11_once), walk, NULL) + value;
}

/* Three times in the chain. */
EXPORT int LEVEL(10)(struct walk *walk, int value, int times_left)
{
    ENTER(walk);
    if (times_left > 1)
        return LEVEL(10)(walk, value + unknown_int, times_left - 1) * 3 + unknown_int;
    return LEVEL(11)(walk, value) + unknown_int;
}

/* Returns a structure through a hidden pointer. */
struct LEVEL(triple) {
    int values[9];
};

EXPORT struct LEVEL(triple) LEVEL(09)(struct walk *walk, int value)
{
    struct LEVEL(triple) result = {{value, unknown_int}};

    ENTER(walk);
    result.values[2] = LEVEL(10)(walk, value, 3);
    return result;
}

/* Called by address. */
EXPORT int LEVEL(08)(struct walk *walk, int value)
{
    struct LEVEL(triple) triple;

    ENTER(walk);
    triple = LEVEL(09)(walk, value);
    return triple.values[0] + triple.values[1] + triple.values[2];
}

static int (*volatile LEVEL(pointer))(struct walk *, int) = LEVEL(08);

/* A frame of more than 512 KB, whose size needs 32 bits in the unwind data. */
EXPORT int LEVEL(07)(struct walk *walk, int value)
{
    volatile char large[600 * 1024];

    ENTER(walk);
    large[END(large)] = (char)value;
    return LEVEL(pointer)(walk, value) + large[END(large)];
}

/* Floating-point registers that a function must save. */
EXPORT int LEVEL(06)(struct walk *walk, int value)
{
    double a = unknown_double, b = unknown_double, c = unknown_double, d = unknown_double;
    double e = unknown_double, f = unknown_double, g = unknown_double, h = unknown_double;

    ENTER(walk);
    value = LEVEL(07)(walk, value);
    return value + (int)(a * b + c * d + e * f + g * h + a * c * e * g);
}

/* Variable arguments. */
EXPORT int LEVEL(05)(struct walk *walk, int count, ...)
{
    int sum = 0;
    va_list arguments;

    ENTER(walk);
    va_start(arguments, count);
    for (int i = 0; i < count; i++)
        sum += va_arg(arguments, int);
    va_end(arguments);
    return LEVEL(06)(walk, sum) + unknown_int;
}

/* All integer registers that a function must save. */
EXPORT int LEVEL(04)(struct walk *walk, int value)
{
    int a = unknown_int, b = unknown_int, c = unknown_int, d = unknown_int;
    int e = unknown_int, f = unknown_int, g = unknown_int, h = unknown_int;

    ENTER(walk);
    value = LEVEL(05)(walk, 3, value, a, b);
    return value + a * b + c * d + e * f + g * h + a * c * e * g;
}

/* A frame whose size only the frame register knows. */
EXPORT int LEVEL(03)(struct walk *walk, int value)
{
    volatile char *variable = __builtin_alloca((size_t)unknown_int * 100);

    ENTER(walk);
    variable[0] = (char)value;
    return LEVEL(04)(walk, value) + variable[0];
}

/* A frame of several pages, which must be probed. */
EXPORT int LEVEL(02)(struct walk *walk, int value)
{
    volatile char pages[3 * 4096 + 100];

    ENTER(walk);
    pages[END(pages)] = (char)value;
    return LEVEL(03)(walk, value) + pages[END(pages)];
}

EXPORT int LEVEL(01)(struct walk *walk, int value)
{
    ENTER(walk);
    return LEVEL(02)(walk, value) + unknown_int;
}

#undef JOIN_
#undef JOIN
#undef LEVEL
#undef END
