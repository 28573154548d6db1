/* CUDA on a processor, as far as decode_kernels.cu goes: stands for decode_primitives.cu and the compiler's own names.
   Blocks run one after another, the threads of a block as coroutines, which change at barriers, shuffles and matrix
   products. */

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <setjmp.h>
#include <ucontext.h>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

struct Place {
    unsigned int x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

typedef unsigned short Half;
struct Words {
    unsigned int x, y, z, w;
};
struct __align__(8) Pair {
    unsigned int first, second;
};
struct __align__(16) Quad {
    float x, y, z, w;
};

static int min(int a, int b) { return a < b ? a : b; }
static int max(int a, int b) { return a > b ? a : b; }
static float rsqrtf(float value) { return 1 / sqrtf(value); }

struct Barrier {
    int arrived, generation;
};

/* What the lanes of a warp hand each other, twice: whoever is ahead writes where the others no longer read. */
struct Warp {
    Barrier barrier;
    float shared[2][32];
    unsigned int a[2][32][4], b[2][32][2];
};

static const int MOST_THREADS = 1024, STACK = 1 << 16;
static ucontext_t contexts[MOST_THREADS];
/* a context is entered once; after that these are used, which make no call to the system */
static jmp_buf scheduler, places[MOST_THREADS];
static std::vector<char> stacks(MOST_THREADS * (size_t)STACK);
static bool begun[MOST_THREADS], ended[MOST_THREADS];
static Barrier block;
static Warp warps[MOST_THREADS / 32];
static bool moved;
static void (*entry)(void **);
static void **entry_arguments;

static void change()
{
    if (_setjmp(places[threadIdx.x]) == 0)
        _longjmp(scheduler, 1);
}

/* Run a thread until it changes back. */
static void resume(int thread)
{
    threadIdx.x = thread;
    if (_setjmp(scheduler) != 0)
        return;
    if (begun[thread])
        _longjmp(places[thread], 1);
    begun[thread] = true;
    setcontext(&contexts[thread]);
}

static void meet(Barrier &barrier, int count)
{
    const int thread = threadIdx.x, generation = barrier.generation;
    if (++barrier.arrived == count) {
        barrier.arrived = 0;
        barrier.generation++;
        moved = true;
    }
    while (barrier.generation == generation) {
        change();
        threadIdx.x = thread;
    }
}

static void run_thread()
{
    const int thread = threadIdx.x;
    entry(entry_arguments);
    ended[thread] = moved = true;
    threadIdx.x = thread;
    change();
}

/* Whether all threads came to the end. */
static bool run_block(int threads)
{
    memset(begun, 0, sizeof begun);
    memset(ended, 0, sizeof ended);
    memset(&block, 0, sizeof block);
    memset(warps, 0, sizeof warps);
    for (int i = 0; i < threads; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = &stacks[i * (size_t)STACK];
        contexts[i].uc_stack.ss_size = STACK;
        makecontext(&contexts[i], run_thread, 0);
    }
    for (int left = threads; left > 0;) {
        moved = false;
        left = 0;
        for (int i = 0; i < threads; i++)
            if (!ended[i]) {
                resume(i);
                left += !ended[i];
            }
        if (!moved)
            return false;
    }
    return true;
}

static void __syncthreads() { meet(block, blockDim.x); }
static void __threadfence() {}

static int atomicAdd(int *where, int value)
{
    const int before = *where;
    *where += value;
    return before;
}

static float __shfl_xor_sync(unsigned int, float value, int lanes)
{
    const int lane = threadIdx.x % 32;
    Warp &warp = warps[threadIdx.x / 32];
    const int side = warp.barrier.generation % 2;
    warp.shared[side][lane] = value;
    meet(warp.barrier, 32);
    return warp.shared[side][lane ^ lanes];
}

static unsigned int __byte_perm(unsigned int x, unsigned int y, unsigned int selector)
{
    const unsigned long long both = (unsigned long long)y << 32 | x;
    unsigned int result = 0;
    for (int i = 0; i < 4; i++)
        result |= (unsigned int)(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return result;
}

static void check_aligned(const void *from)
{
    if ((size_t)from % 16 != 0) {
        fprintf(stderr, "a misaligned load\n");
        abort();
    }
}

static Words load_constant(const Half *from)
{
    check_aligned(from);
    Words words;
    memcpy(&words, from, sizeof words);
    return words;
}

static Words load_fresh(const Half *from) { return load_constant(from); }
static Pair load_fresh(const Pair *from) { return *from; }
static Quad load_fresh(const Quad *from)
{
    check_aligned(from);
    return *from;
}
static float load_fresh(const float *from) { return *from; }
static int load_fresh(const int *from) { return *from; }
static Half load_fresh_half(const Half *from) { return *from; }

static float to_float(Half value)
{
    _Float16 half;
    memcpy(&half, &value, sizeof half);
    return half;
}

static Half to_half(float value)
{
    const _Float16 half = value;
    Half result;
    memcpy(&result, &half, sizeof result);
    return result;
}

static float half_of(unsigned int word, int which) { return to_float((Half)(word >> 16 * which)); }

/* As PTX describes the fragments of mma.m16n8k16. */
static void multiply_add(float (&sums)[4], unsigned int a0, unsigned int a1, unsigned int a2, unsigned int a3,
                         unsigned int b0, unsigned int b1)
{
    const int lane = threadIdx.x % 32;
    Warp &warp = warps[threadIdx.x / 32];
    const int side = warp.barrier.generation % 2;
    const unsigned int a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    memcpy(warp.a[side][lane], a, sizeof a);
    memcpy(warp.b[side][lane], b, sizeof b);
    meet(warp.barrier, 32);
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            const unsigned int left = warp.a[side][row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)];
            const unsigned int right = warp.b[side][column * 4 + k % 8 / 2][k / 8];
            sums[i] += half_of(left, k % 2) * half_of(right, k % 2);
        }
    }
}

static void wait_for_predecessor() {}
static void let_successor_start() {}
